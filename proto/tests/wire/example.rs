//! Filled-in examples of every message, written as bytes from the descriptor alone.
//!
//! The generated code is not asked how a message looks on the wire, so it can be held to it.

use std::collections::BTreeMap;

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// All messages and enums of the wire and what it imports, by the name that fields call them.
pub(crate) struct Words {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
}

impl Words {
    pub(crate) fn current() -> Self {
        Self::of(crate::current())
    }

    /// The words of another wire than the one that is built.
    pub(crate) fn of(set: FileDescriptorSet) -> Self {
        let mut words = Self { messages: BTreeMap::new(), enums: BTreeMap::new() };
        for file in set.file {
            let scope = format!(".{}", file.package());
            for item in file.enum_type {
                words.enums.insert(format!("{scope}.{}", item.name()), item);
            }
            for message in file.message_type {
                words.enter(&scope, message);
            }
        }
        words
    }

    fn enter(&mut self, scope: &str, message: DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for nested in message.nested_type.clone() {
            self.enter(&name, nested);
        }
        self.messages.insert(name, message);
    }

    /// Returns the names of the wire's own messages, without its package and without maps' entries.
    pub(crate) fn own(&self) -> Vec<&str> {
        let own = self.messages.iter().filter(|(_, message)| !is_map_entry(message));
        own.filter_map(|(name, _)| name.strip_prefix(".tidegate.connector.v1.")).collect()
    }

    /// Returns a message by the name that fields call it.
    pub(crate) fn message(&self, name: &str) -> &DescriptorProto {
        &self.messages[name]
    }

    /// Returns examples of a message with every field set: one for each choice of its oneof, or just one.
    pub(crate) fn examples(&self, own_name: &str) -> Vec<Vec<u8>> {
        let message = &self.messages[&format!(".tidegate.connector.v1.{own_name}")];
        let choices = message.field.iter().filter(|field| is_choice(field)).count().max(1);
        (0..choices).map(|choice| self.example(message, choice, 0)).collect()
    }

    /// Writes one example; `turn` makes those of a list, and so a map's keys, differ and rise.
    fn example(&self, message: &DescriptorProto, choice: usize, turn: usize) -> Vec<u8> {
        let mut fields: Vec<_> = message.field.iter().collect();
        fields.sort_by_key(|field| field.number());
        let choices: Vec<_> =
            fields.iter().filter(|field| is_choice(field)).map(|field| field.number()).collect();
        let mut bytes = vec![];
        for field in fields {
            if is_choice(field) && choices[choice % choices.len()] != field.number() {
                continue;
            }
            let turns = if field.label() == Label::Repeated { 0..3 } else { turn..turn + 1 };
            for turn in turns {
                self.put(field, choice, turn, &mut bytes);
            }
        }
        bytes
    }

    fn put(&self, field: &FieldDescriptorProto, choice: usize, turn: usize, bytes: &mut Vec<u8>) {
        let number = u32::try_from(field.number()).unwrap();
        let plain = 100 + u64::from(number) + turn as u64;
        let text = format!("{} {turn}: ä ' \" \n {number}", field.name());
        let value = match field.r#type() {
            Type::String | Type::Bytes => Err(text.into_bytes()),
            Type::Message => Err(self.example(&self.messages[field.type_name()], choice + turn, turn)),
            Type::Bool => Ok(1),
            Type::Enum => {
                let last = self.enums[field.type_name()].value.last().unwrap();
                Ok(u64::try_from(last.number()).unwrap())
            }
            Type::Uint32 | Type::Int32 => Ok(plain),
            Type::Uint64 | Type::Int64 => Ok(plain << 40),
            other @ (Type::Double
            | Type::Float
            | Type::Fixed64
            | Type::Fixed32
            | Type::Group
            | Type::Sfixed32
            | Type::Sfixed64
            | Type::Sint32
            | Type::Sint64) => panic!("no example for {other:?}, the type of {}", field.name()),
        };
        match value {
            Ok(value) => {
                assert!(field.label() != Label::Repeated, "no example for packed numbers: {}", field.name());
                encode_key(number, WireType::Varint, bytes);
                encode_varint(value, bytes);
            }
            Err(value) => {
                encode_key(number, WireType::LengthDelimited, bytes);
                encode_varint(value.len() as u64, bytes);
                bytes.extend(value);
            }
        }
    }
}

/// Returns true for a field that excludes others; the made-up oneofs of optional fields do not count.
fn is_choice(field: &FieldDescriptorProto) -> bool {
    field.oneof_index.is_some() && !field.proto3_optional()
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}
