//! N and N−1 side by side: what a build of today says can be read by the words of every release, and what a release says
//! by the words of today.

use std::fs;

use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::compatible::folder;
use crate::example::Words;
use crate::messages::kinds;

/// The words of each release, by its name.
fn released() -> Vec<(String, Words)> {
    let mut releases = vec![];
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.starts_with('v') {
            let set = FileDescriptorSet::decode(fs::read(&path).unwrap().as_slice()).unwrap();
            releases.push((name, Words::of(set)));
        }
    }
    assert!(!releases.is_empty(), "there is no release in {}", folder().display());
    releases
}

/// How a release reads a message: what it has never heard of it skips.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    /// What would break it.
    faults: Vec<String>,
}

/// Reads bytes as the words of a release would: field by field, and into messages within.
fn read(mut bytes: &[u8], message: &DescriptorProto, words: &Words, reading: &mut Reading) {
    while !bytes.is_empty() {
        let Ok((number, wire)) = decode_key(&mut bytes) else {
            reading.faults.push(format!("{}: no field begins here", message.name()));
            return;
        };
        let known = message.field.iter().find(|field| u32::try_from(field.number()) == Ok(number));
        let Some(field) = known else {
            if skip_field(wire, number, &mut bytes, DecodeContext::default()).is_err() {
                reading.faults.push(format!("{}.{number} cannot be skipped", message.name()));
                return;
            }
            continue;
        };
        let delimited = matches!(field.r#type(), Type::String | Type::Bytes | Type::Message);
        let expected = if delimited { WireType::LengthDelimited } else { WireType::Varint };
        if wire != expected {
            let place = format!("{}.{}", message.name(), field.name());
            reading.faults.push(format!("{place} comes as {wire:?} and is read as {expected:?}"));
            return;
        }
        let Ok(value) = decode_varint(&mut bytes) else {
            reading.faults.push(format!("{}.{} breaks off", message.name(), field.name()));
            return;
        };
        if !delimited {
            continue;
        }
        let Some((within, rest)) =
            usize::try_from(value).ok().and_then(|length| bytes.split_at_checked(length))
        else {
            reading.faults.push(format!("{}.{} breaks off", message.name(), field.name()));
            return;
        };
        if field.r#type() == Type::Message {
            read(within, words.message(field.type_name()), words, reading);
        } else if field.r#type() == Type::String && std::str::from_utf8(within).is_err() {
            reading.faults.push(format!("{}.{} is no text", message.name(), field.name()));
        }
        bytes = rest;
    }
}

#[test]
fn every_release_reads_what_a_build_of_today_says() {
    let today = Words::current();
    for (release, words) in released() {
        let known = words.own();
        for name in today.own().into_iter().filter(|name| known.contains(name)) {
            let message = words.message(&format!(".tidegate.connector.v1.{name}"));
            for example in today.examples(name) {
                let mut reading = Reading::default();
                read(&example, message, &words, &mut reading);
                assert_eq!(reading.faults, Vec::<String>::new(), "{release} cannot read a {name} of today");
            }
        }
    }
}

#[test]
fn a_build_of_today_reads_what_every_release_says() {
    for (release, words) in released() {
        for (name, reread) in kinds() {
            if !words.own().contains(&name) {
                continue;
            }
            for example in words.examples(name) {
                let again = reread(&example).unwrap_or_else(|fault| panic!("{release}: {name}: {fault}"));
                assert!(
                    again == example,
                    "{release}: something of a {name} is lost on the way through today"
                );
            }
        }
    }
}

#[test]
fn a_reading_that_would_break_a_release_is_found() {
    let (_, words) = released().remove(0);
    let message = words.message(".tidegate.connector.v1.Cursor");
    let whole = Words::current().examples("Cursor").remove(0);
    let position = message.field.iter().find(|field| field.name() == "position").unwrap().number();
    let other_type = {
        let mut bytes = vec![];
        prost::encoding::encode_key(position.try_into().unwrap(), WireType::LengthDelimited, &mut bytes);
        prost::encoding::encode_varint(0, &mut bytes);
        bytes
    };
    let table = [
        ("as it was", whole.clone(), false),
        ("another type", other_type, true),
        ("broken off", whole[..whole.len() - 1].to_vec(), true),
        ("no text", vec![0x0a, 1, 0xff], true),
    ];
    for (name, bytes, broken) in table {
        let mut reading = Reading::default();
        read(&bytes, message, &words, &mut reading);
        assert_eq!(!reading.faults.is_empty(), broken, "{name}: {reading:?}");
    }
}
