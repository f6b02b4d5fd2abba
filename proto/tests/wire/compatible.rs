//! The wire only grows: everything that a release had is still there, with the same name and number.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, ServiceDescriptorProto,
};

/// Everything in a set that has a name of its own, by full name.
#[derive(Default)]
struct Names<'a> {
    messages: BTreeMap<String, &'a DescriptorProto>,
    enums: BTreeMap<String, &'a EnumDescriptorProto>,
    services: BTreeMap<String, &'a ServiceDescriptorProto>,
}

impl<'a> Names<'a> {
    fn of(set: &'a FileDescriptorSet) -> Self {
        let mut names = Self::default();
        for file in &set.file {
            let package = file.package();
            for message in &file.message_type {
                names.enter(package, message);
            }
            for item in &file.enum_type {
                names.enums.insert(format!("{package}.{}", item.name()), item);
            }
            for item in &file.service {
                names.services.insert(format!("{package}.{}", item.name()), item);
            }
        }
        names
    }

    fn enter(&mut self, scope: &str, message: &'a DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for nested in &message.nested_type {
            self.enter(&name, nested);
        }
        for item in &message.enum_type {
            self.enums.insert(format!("{name}.{}", item.name()), item);
        }
        self.messages.insert(name, message);
    }
}

/// Returns what `new` breaks of `old`, one line each; nothing when `new` only adds.
fn breakages(old: &FileDescriptorSet, new: &FileDescriptorSet) -> Vec<String> {
    let (old, new) = (Names::of(old), Names::of(new));
    let mut found = vec![];
    for (name, before) in &old.messages {
        match new.messages.get(name) {
            None => found.push(format!("message {name} is gone")),
            Some(after) => fields(name, before, after, &mut found),
        }
    }
    for (name, before) in &old.enums {
        match new.enums.get(name) {
            None => found.push(format!("enum {name} is gone")),
            Some(after) => values(name, before, after, &mut found),
        }
    }
    for (name, before) in &old.services {
        match new.services.get(name) {
            None => found.push(format!("service {name} is gone")),
            Some(after) => methods(name, before, after, &mut found),
        }
    }
    found
}

fn fields(message: &str, before: &DescriptorProto, after: &DescriptorProto, found: &mut Vec<String>) {
    for old in &before.field {
        let place = format!("field {message}.{} = {}", old.name(), old.number());
        let Some(new) = after.field.iter().find(|field| field.number() == old.number()) else {
            found.push(format!("{place} is gone"));
            continue;
        };
        let traits = [
            ("name", old.name().to_owned(), new.name().to_owned()),
            ("JSON name", old.json_name().to_owned(), new.json_name().to_owned()),
            ("type", format!("{:?}", old.r#type()), format!("{:?}", new.r#type())),
            ("type name", old.type_name().to_owned(), new.type_name().to_owned()),
            ("label", format!("{:?}", old.label()), format!("{:?}", new.label())),
            ("presence", old.proto3_optional().to_string(), new.proto3_optional().to_string()),
            ("oneof", oneof_of(before, old), oneof_of(after, new)),
        ];
        for (what, old, new) in traits {
            if old != new {
                found.push(format!("{place} had {what} `{old}` and has `{new}`"));
            }
        }
    }
}

/// Returns the name of the oneof that a field is in; the made-up ones of optional fields do not count.
fn oneof_of(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let index = field.oneof_index.filter(|_| !field.proto3_optional());
    let index = index.and_then(|index| usize::try_from(index).ok());
    let oneof = index.and_then(|index| message.oneof_decl.get(index));
    oneof.map(|oneof| oneof.name().to_owned()).unwrap_or_default()
}

fn values(name: &str, before: &EnumDescriptorProto, after: &EnumDescriptorProto, found: &mut Vec<String>) {
    for old in &before.value {
        let same = |new: &&EnumValueDescriptorProto| new.number() == old.number() && new.name() == old.name();
        if !after.value.iter().any(|new| same(&new)) {
            found.push(format!("value {name}.{} = {} is gone", old.name(), old.number()));
        }
    }
}

fn methods(
    name: &str,
    before: &ServiceDescriptorProto,
    after: &ServiceDescriptorProto,
    found: &mut Vec<String>,
) {
    for old in &before.method {
        match after.method.iter().find(|new| new.name() == old.name()) {
            None => found.push(format!("rpc {name}.{} is gone", old.name())),
            Some(new) if shape(old) != shape(new) => found.push(format!(
                "rpc {name}.{} had the shape {} and has {}",
                old.name(),
                shape(old),
                shape(new)
            )),
            Some(_) => {}
        }
    }
}

fn shape(method: &MethodDescriptorProto) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    format!(
        "{}{} -> {}{}",
        stream(method.client_streaming()),
        method.input_type(),
        stream(method.server_streaming()),
        method.output_type()
    )
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptor")
}

#[test]
fn nothing_that_was_released_is_gone() {
    let current = crate::current();
    let mut releases = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('v') && name.ends_with(".binpb") {
            let released = FileDescriptorSet::decode(fs::read(&path).unwrap().as_slice()).unwrap();
            assert!(Names::of(&released).messages.len() > 50, "{name} is not a descriptor of the wire");
            let broken = breakages(&released, &current);
            assert!(broken.is_empty(), "the wire breaks {name}: {broken:#?}");
            releases += 1;
        }
    }
    assert!(releases > 0, "there is no released descriptor in {}", folder().display());
}

#[test]
fn the_committed_descriptor_is_the_one_that_is_built() {
    let committed = fs::read(folder().join("current.binpb")).unwrap();
    assert!(
        committed == proto::DESCRIPTOR,
        "proto/descriptor/current.binpb is not what the .proto files say: run `cargo xtask gen`"
    );
}

const PACKAGE: &str = "tidegate.connector.v1";

fn message<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut DescriptorProto {
    set.file
        .iter_mut()
        .filter(|file| file.package() == PACKAGE)
        .flat_map(|file| &mut file.message_type)
        .find(|message| message.name() == name)
        .unwrap()
}

fn field<'a>(set: &'a mut FileDescriptorSet, of: &str, name: &str) -> &'a mut FieldDescriptorProto {
    message(set, of).field.iter_mut().find(|field| field.name() == name).unwrap()
}

fn certainty(set: &mut FileDescriptorSet) -> &mut EnumDescriptorProto {
    set.file.iter_mut().flat_map(|file| &mut file.enum_type).find(|item| item.name() == "Certainty").unwrap()
}

fn connect(set: &mut FileDescriptorSet) -> &mut MethodDescriptorProto {
    set.file
        .iter_mut()
        .flat_map(|file| &mut file.service)
        .flat_map(|service| &mut service.method)
        .next()
        .unwrap()
}

fn forget_messages(set: &mut FileDescriptorSet, name: &str) {
    for file in &mut set.file {
        file.message_type.retain(|message| message.name() != name);
    }
}

type Change = fn(&mut FileDescriptorSet);

#[test]
fn every_planted_breakage_is_caught() {
    let table: [(&str, Change, &str); 22] = [
        (
            "message gone",
            |set| forget_messages(set, "Residual"),
            "message tidegate.connector.v1.Residual is gone",
        ),
        (
            "message renamed",
            |set| message(set, "Residual").name = Some("Remainder".into()),
            "message tidegate.connector.v1.Residual is gone",
        ),
        (
            "nested message gone",
            |set| message(set, "AccessState").nested_type.retain(|nested| nested.name() != "Ending"),
            "message tidegate.connector.v1.AccessState.Ending is gone",
        ),
        (
            "field gone",
            |set| message(set, "PutAccess").field.retain(|field| field.name() != "until"),
            "PutAccess.until = 7 is gone",
        ),
        (
            "field renumbered",
            |set| field(set, "PutAccess", "until").number = Some(70),
            "PutAccess.until = 7 is gone",
        ),
        (
            "field renamed",
            |set| field(set, "PutAccess", "until").name = Some("deadline".into()),
            "had name `until` and has `deadline`",
        ),
        (
            "field renamed in JSON",
            |set| field(set, "PutAccess", "access_id").json_name = Some("access".into()),
            "had JSON name `accessId` and has `access`",
        ),
        (
            "number given to another field",
            |set| {
                message(set, "PutAccess").field.retain(|field| field.name() != "revision");
                field(set, "PutAccess", "until").number = Some(2);
            },
            "PutAccess.revision = 2 had name `revision` and has `until`",
        ),
        (
            "numbers swapped",
            |set| {
                field(set, "PutAccess", "from").number = Some(7);
                field(set, "PutAccess", "until").number = Some(6);
            },
            "PutAccess.from = 6 had name `from` and has `until`",
        ),
        (
            "scalar type changed",
            |set| field(set, "Standing", "page").set_type(Type::Uint64),
            "had type `Uint32` and has `Uint64`",
        ),
        (
            "message type changed",
            |set| {
                field(set, "PutAccess", "grantee").type_name =
                    Some(".tidegate.connector.v1.Entitlement".into());
            },
            "had type name `.tidegate.connector.v1.Grantee` and has `.tidegate.connector.v1.Entitlement`",
        ),
        (
            "one became many",
            |set| field(set, "Drift", "detail").set_label(Label::Repeated),
            "had label `Optional` and has `Repeated`",
        ),
        (
            "many became one",
            |set| field(set, "PutAccess", "entitlements").set_label(Label::Optional),
            "had label `Repeated` and has `Optional`",
        ),
        (
            "unset and empty became the same",
            |set| {
                let field = field(set, "RotateAccount", "public_key");
                field.proto3_optional = None;
                field.oneof_index = None;
            },
            "had presence `true` and has `false`",
        ),
        (
            "field left its oneof",
            |set| field(set, "Order", "pause").oneof_index = None,
            "had oneof `order` and has ``",
        ),
        (
            "oneof renamed",
            |set| message(set, "Order").oneof_decl[0].name = Some("kind".into()),
            "had oneof `order` and has `kind`",
        ),
        (
            "enum value gone",
            |set| certainty(set).value.retain(|value| value.number() != 2),
            "Certainty.CERTAINTY_NOT_DONE = 2 is gone",
        ),
        (
            "enum value renumbered",
            |set| certainty(set).value[2].number = Some(9),
            "Certainty.CERTAINTY_NOT_DONE = 2 is gone",
        ),
        (
            "enum value renamed",
            |set| certainty(set).value[2].name = Some("CERTAINTY_MAYBE".into()),
            "Certainty.CERTAINTY_NOT_DONE = 2 is gone",
        ),
        (
            "rpc renamed",
            |set| connect(set).name = Some("Dial".into()),
            "rpc tidegate.connector.v1.ConnectorService.Connect is gone",
        ),
        (
            "rpc no longer streams",
            |set| connect(set).client_streaming = Some(false),
            "had the shape stream .tidegate.connector.v1.AgentMessage",
        ),
        (
            "package renamed",
            |set| set.file.iter_mut().for_each(|file| file.package = Some("tidegate.connector.v2".into())),
            "service tidegate.connector.v1.ConnectorService is gone",
        ),
    ];
    for (name, change, expected) in table {
        let old = crate::current();
        let mut new = old.clone();
        change(&mut new);
        let found = breakages(&old, &new);
        assert!(found.iter().any(|line| line.contains(expected)), "{name}: {found:#?}");
    }
}

#[test]
fn additions_are_no_breakages() {
    let table: [(&str, Change); 6] = [
        ("nothing changed", |_| {}),
        ("message added", |set| {
            set.file[0].message_type.push(DescriptorProto { name: Some("New".into()), ..Default::default() });
        }),
        ("field added", |set| {
            let mut added = field(set, "PutAccess", "revision").clone();
            added.name = Some("added".into());
            added.number = Some(1000);
            message(set, "PutAccess").field.push(added);
        }),
        ("enum value added", |set| {
            let value = EnumValueDescriptorProto { number: Some(100), ..certainty(set).value[1].clone() };
            certainty(set).value.push(value);
        }),
        ("rpc added", |set| {
            let added = MethodDescriptorProto { name: Some("Enrol".into()), ..connect(set).clone() };
            let service = set.file.iter_mut().flat_map(|file| &mut file.service).next().unwrap();
            service.method.push(added);
        }),
        ("order in the file changed", |set| message(set, "PutAccess").field.reverse()),
    ];
    for (name, change) in table {
        let old = crate::current();
        let mut new = old.clone();
        change(&mut new);
        assert_eq!(breakages(&old, &new), Vec::<String>::new(), "{name}");
    }
}
