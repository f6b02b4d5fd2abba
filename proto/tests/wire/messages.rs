//! What is written is what is read, and what a reader does not know does it no harm.

use prost::encoding::{WireType, encode_key, encode_varint};
use prost::{DecodeError, Message};
use proto::v1;

use crate::example::Words;

/// Reads bytes as one kind of message and writes it again.
pub(crate) type Reread = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

fn reread<M: Message + Default>(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    M::decode(bytes).map(|message| message.encode_to_vec())
}

macro_rules! kinds {
    ($($name:literal => $kind:ty,)*) => {
        /// Every message of the wire, by name.
        pub(crate) fn kinds() -> Vec<(&'static str, Reread)> {
            vec![$(($name, reread::<$kind> as Reread)),*]
        }
    };
}

kinds! {
    "AccessChanged" => v1::AccessChanged,
    "AccessState" => v1::AccessState,
    "AccessState.Accepted" => v1::access_state::Accepted,
    "AccessState.Active" => v1::access_state::Active,
    "AccessState.Canceled" => v1::access_state::Canceled,
    "AccessState.Ended" => v1::access_state::Ended,
    "AccessState.Ending" => v1::access_state::Ending,
    "AccessState.Failed" => v1::access_state::Failed,
    "AccessState.Granting" => v1::access_state::Granting,
    "AccessState.Interrupted" => v1::access_state::Interrupted,
    "AccessState.Refused" => v1::access_state::Refused,
    "AccountChanged" => v1::AccountChanged,
    "Ack" => v1::Ack,
    "AgentHeartbeat" => v1::AgentHeartbeat,
    "AgentMessage" => v1::AgentMessage,
    "Alarm" => v1::Alarm,
    "CancelEnding" => v1::CancelEnding,
    "CheckNow" => v1::CheckNow,
    "ConnectionLine" => v1::ConnectionLine,
    "ControlHeartbeat" => v1::ControlHeartbeat,
    "ControlMessage" => v1::ControlMessage,
    "CredentialSealed" => v1::CredentialSealed,
    "Cursor" => v1::Cursor,
    "DeleteAccount" => v1::DeleteAccount,
    "DiscoverNow" => v1::DiscoverNow,
    "Drift" => v1::Drift,
    "DriftFound" => v1::DriftFound,
    "DriverManifest" => v1::DriverManifest,
    "EndAccess" => v1::EndAccess,
    "EndReason" => v1::EndReason,
    "Entitlement" => v1::Entitlement,
    "Expiry" => v1::Expiry,
    "Failure" => v1::Failure,
    "FieldFormat" => v1::FieldFormat,
    "FieldFormat.Choice" => v1::field_format::Choice,
    "FieldFormat.Duration" => v1::field_format::Duration,
    "FieldFormat.Flag" => v1::field_format::Flag,
    "FieldFormat.Host" => v1::field_format::Host,
    "FieldFormat.Pem" => v1::field_format::Pem,
    "FieldFormat.Port" => v1::field_format::Port,
    "FieldFormat.Text" => v1::field_format::Text,
    "FieldFormat.Whole" => v1::field_format::Whole,
    "Goodbye" => v1::Goodbye,
    "Grantee" => v1::Grantee,
    "Hello" => v1::Hello,
    "Hindrance" => v1::Hindrance,
    "IntegrationHealth" => v1::IntegrationHealth,
    "IntegrationRetired" => v1::IntegrationRetired,
    "Order" => v1::Order,
    "OrderRefused" => v1::OrderRefused,
    "Pause" => v1::Pause,
    "PermissionType" => v1::PermissionType,
    "Policy" => v1::Policy,
    "Probe" => v1::Probe,
    "PublicKey" => v1::PublicKey,
    "PutAccess" => v1::PutAccess,
    "PutIntegration" => v1::PutIntegration,
    "Receipt" => v1::Receipt,
    "Report" => v1::Report,
    "Residual" => v1::Residual,
    "ResidualVector" => v1::ResidualVector,
    "Resource" => v1::Resource,
    "ResourceId" => v1::ResourceId,
    "ResourcePage" => v1::ResourcePage,
    "ResourceType" => v1::ResourceType,
    "Resume" => v1::Resume,
    "RetireIntegration" => v1::RetireIntegration,
    "RightNeeded" => v1::RightNeeded,
    "RotateAccount" => v1::RotateAccount,
    "SecretKey" => v1::SecretKey,
    "SetPolicy" => v1::SetPolicy,
    "SettingField" => v1::SettingField,
    "SetupScripts" => v1::SetupScripts,
    "Standing" => v1::Standing,
    "StandingAccess" => v1::StandingAccess,
    "StandingVerdict" => v1::StandingVerdict,
    "SurveyNow" => v1::SurveyNow,
    "Survival" => v1::Survival,
    "Unlisted" => v1::Unlisted,
    "Welcome" => v1::Welcome,
    "Whereabouts" => v1::Whereabouts,
}

/// Asserts that bytes are the same, and shows no more than where they first differ.
fn assert_same(found: &[u8], expected: &[u8], name: &str) {
    if found != expected {
        let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
        let around = |bytes: &[u8]| bytes.iter().skip(at.saturating_sub(40)).take(80).copied().collect();
        let (found, expected): (Vec<u8>, Vec<u8>) = (around(found), around(expected));
        panic!(
            "{name} differs at byte {at}: found {}, expected {}",
            found.escape_ascii(),
            expected.escape_ascii()
        );
    }
}

#[test]
fn every_message_is_among_the_examples() {
    let listed: Vec<_> = kinds().into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed, Words::current().own());
}

#[test]
fn every_field_of_every_message_comes_through() {
    let words = Words::current();
    for (name, reread) in kinds() {
        for example in words.examples(name) {
            assert_same(&reread(&example).unwrap(), &example, name);
        }
    }
}

/// One field of each wire type, with a number that no message has.
fn unknown_fields() -> Vec<u8> {
    const NUMBER: u32 = 536_870_911;
    let mut bytes = vec![];
    encode_key(NUMBER, WireType::Varint, &mut bytes);
    encode_varint(u64::MAX, &mut bytes);
    encode_key(NUMBER, WireType::SixtyFourBit, &mut bytes);
    bytes.extend([0xFF; 8]);
    encode_key(NUMBER, WireType::LengthDelimited, &mut bytes);
    encode_varint(5, &mut bytes);
    bytes.extend(b"later");
    encode_key(NUMBER, WireType::StartGroup, &mut bytes);
    encode_key(1, WireType::Varint, &mut bytes);
    encode_varint(1, &mut bytes);
    encode_key(NUMBER, WireType::EndGroup, &mut bytes);
    encode_key(NUMBER, WireType::ThirtyTwoBit, &mut bytes);
    bytes.extend([0xFF; 4]);
    bytes
}

#[test]
fn fields_of_a_later_build_are_skipped() {
    let words = Words::current();
    for (name, reread) in kinds() {
        for example in words.examples(name) {
            let before = [unknown_fields(), example.clone()].concat();
            assert_same(&reread(&before).unwrap(), &example, name);
            let after = [example.clone(), unknown_fields()].concat();
            assert_same(&reread(&after).unwrap(), &example, name);
        }
    }
}

#[test]
fn a_kind_of_a_later_build_reads_as_unset() {
    let order = v1::Order::decode(unknown_fields().as_slice()).unwrap();
    assert_eq!(order.order, None);
    let message = v1::ControlMessage::decode(unknown_fields().as_slice()).unwrap();
    assert_eq!(message.message, None);
}

#[test]
fn an_enum_value_of_a_later_build_is_kept_as_a_number_and_is_no_known_value() {
    let mut bytes = vec![];
    encode_key(1, WireType::Varint, &mut bytes);
    encode_varint(77, &mut bytes);
    let residual = v1::Residual::decode(bytes.as_slice()).unwrap();
    assert_eq!(residual.kind, 77);
    assert!(v1::ResidualKind::try_from(residual.kind).is_err());
    assert_eq!(residual.encode_to_vec(), bytes);
}

#[test]
fn unset_and_empty_are_told_apart_where_it_matters() {
    let unset = v1::Policy::default();
    let at_each_close = v1::Policy { credentials_cleanup_period_in_days: Some(0), ..unset };
    assert_ne!(unset.encode_to_vec(), at_each_close.encode_to_vec());
    assert_eq!(v1::Policy::decode(at_each_close.encode_to_vec().as_slice()).unwrap(), at_each_close);
}
