//! What is sealed into the store's columns, as bytes: profiles, activities, deliveries. The first byte says which.

use super::codec::{Decoder, Encoder};
use super::names::Numbered;
use crate::model::{
    Activity, Audience, Expects, Identity, IdentityId, Network, Object, Payload, Personal, Profile, RecordKey, Value, Verb,
};
use crate::store::StoreError;
use std::sync::Arc;

const PROFILE: u8 = 1;
const ACTIVITY: u8 = 2;
const DELIVERY: u8 = 3;
const EXCHANGE: u8 = 4;
const RECTIFIED: u8 = 5;
/// A delivery that says what it expects.
const EXPECTING: u8 = 6;

fn network(decoder: &mut Decoder<'_>) -> Result<Network, StoreError> {
    decoder.text()?.parse().map_err(|_unknown| decoder.damaged())
}

fn number<T: Numbered>(encoder: &mut Encoder, word: T) {
    encoder.i64(word.number());
}

/// What travelled about a delivery: request and answer.
pub(super) fn encode_exchange(request: &Personal<String>, answer: &Personal<String>) -> Vec<u8> {
    let mut encoder = Encoder::new(EXCHANGE);
    encoder.text(request.reveal());
    encoder.text(answer.reveal());
    encoder.into_bytes()
}

/// The reverse of [`encode_exchange`].
pub(super) fn decode_exchange(bytes: &[u8]) -> Result<(Personal<String>, Personal<String>), StoreError> {
    let mut decoder = Decoder::new(bytes, EXCHANGE, "what travelled")?;
    let (request, answer) = (Personal::new(decoder.text()?.to_string()), Personal::new(decoder.text()?.to_string()));
    decoder.end()?;
    Ok((request, answer))
}

/// A profile.
pub(super) fn encode_profile(profile: &Profile) -> Vec<u8> {
    let mut encoder = Encoder::new(PROFILE);
    encoder.time(profile.as_of);
    number(&mut encoder, profile.audience);
    encoder.fields(profile.fields.reveal());
    encoder.into_bytes()
}

/// What a profile shows, without its time: equal bytes say that nothing changed.
pub(super) fn encode_shown(profile: &Profile) -> Vec<u8> {
    let mut encoder = Encoder::new(PROFILE);
    encoder.fields(profile.fields.reveal());
    encoder.into_bytes()
}

/// The reverse of [`encode_profile`].
pub(super) fn decode_profile(bytes: &[u8]) -> Result<Profile, StoreError> {
    let mut decoder = Decoder::new(bytes, PROFILE, "a profile")?;
    let as_of = decoder.time()?;
    let audience = Audience::from_number(decoder.i64()?)?;
    let fields = Personal::new(decoder.fields()?);
    decoder.end()?;
    Ok(Profile { as_of, audience, fields })
}

/// What binds a person's corrections to their row.
pub(super) const RECTIFIED_BINDING: &str = "kith/v1/store/rectified";

/// Fields by path: what a person corrected.
pub(super) fn encode_fields(fields: &[(Arc<str>, Value)]) -> Vec<u8> {
    let mut encoder = Encoder::new(RECTIFIED);
    encoder.fields(fields);
    encoder.into_bytes()
}

/// The reverse of [`encode_fields`].
pub(super) fn decode_fields(bytes: &[u8]) -> Result<Vec<(Arc<str>, Value)>, StoreError> {
    let mut decoder = Decoder::new(bytes, RECTIFIED, "a person's corrections")?;
    let fields = decoder.fields()?;
    decoder.end()?;
    Ok(fields)
}

fn optional(encoder: &mut Encoder, text: Option<&Arc<str>>) {
    encoder.option(text, |e, t| e.text(t));
}

/// An activity without its actor's profile, which has a column and a clock of its own.
pub(super) fn encode_activity(activity: &Activity) -> Vec<u8> {
    let mut e = Encoder::new(ACTIVITY);
    e.text(&activity.id);
    number(&mut e, activity.verb);
    e.text(activity.network.name());
    e.time(activity.published);
    e.text(activity.actor.id.network.name());
    e.text(&activity.actor.id.id);
    number(&mut e, activity.audience);
    optional(&mut e, activity.conversation.as_ref());
    let object = &activity.object;
    e.text(&object.id);
    e.text(&object.kind);
    optional(&mut e, object.content.reveal().as_ref());
    optional(&mut e, object.url.reveal().as_ref());
    for time in [object.published, object.updated, object.deleted] {
        e.option(time, Encoder::time);
    }
    optional(&mut e, object.in_reply_to.as_ref());
    e.into_bytes()
}

/// The reverse of [`encode_activity`]; `profile` is the actor's current one, else one that shows nothing.
pub(super) fn decode_activity(bytes: &[u8], profile: Option<&Profile>) -> Result<Activity, StoreError> {
    let mut d = Decoder::new(bytes, ACTIVITY, "an activity")?;
    let id = d.text()?;
    let verb = Verb::from_number(d.i64()?)?;
    let on = network(&mut d)?;
    let published = d.time()?;
    let actor = IdentityId { network: network(&mut d)?, id: d.text()? };
    let audience = Audience::from_number(d.i64()?)?;
    let conversation = d.option(Decoder::text)?;
    let object = Object {
        id: d.text()?,
        kind: d.text()?,
        content: Personal::new(d.option(Decoder::text)?),
        url: Personal::new(d.option(Decoder::text)?),
        published: d.option(Decoder::time)?,
        updated: d.option(Decoder::time)?,
        deleted: d.option(Decoder::time)?,
        in_reply_to: d.option(Decoder::text)?,
    };
    d.end()?;
    let profile = profile.cloned().unwrap_or(Profile { as_of: published, audience, fields: Personal::default() });
    Ok(Activity { id, verb, network: on, published, actor: Identity { id: actor, profile }, audience, conversation, object })
}

/// What a delivery says and whom it is about.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct DeliveryContent {
    pub(super) identity: IdentityId,
    pub(super) record: RecordKey,
    pub(super) object: Option<Arc<str>>,
    pub(super) payload: Payload,
    pub(super) expects: Option<Arc<Expects>>,
}

/// A delivery's content.
pub(super) fn encode_delivery(content: &DeliveryContent) -> Vec<u8> {
    let mut e = Encoder::new(if content.expects.is_some() { EXPECTING } else { DELIVERY });
    e.text(content.identity.network.name());
    e.text(&content.identity.id);
    e.text(&content.record.0);
    optional(&mut e, content.object.as_ref());
    e.fields(content.payload.reveal());
    if let Some(expects) = &content.expects {
        e.u8(expects.there.into());
        e.fields(expects.fields.reveal());
    }
    e.into_bytes()
}

/// The reverse of [`encode_delivery`].
pub(super) fn decode_delivery(bytes: &[u8]) -> Result<DeliveryContent, StoreError> {
    let expecting = bytes.first() == Some(&EXPECTING);
    let mut d = Decoder::new(bytes, if expecting { EXPECTING } else { DELIVERY }, "a delivery")?;
    let mut content = DeliveryContent {
        identity: IdentityId { network: network(&mut d)?, id: d.text()? },
        record: RecordKey(d.text()?),
        object: d.option(Decoder::text)?,
        payload: Personal::new(d.fields()?),
        expects: None,
    };
    if expecting {
        content.expects = Some(Arc::new(Expects { there: d.u8()? != 0, fields: Personal::new(d.fields()?) }));
    }
    d.end()?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> impl Strategy<Value = Vec<(Arc<str>, Value)>> {
        let value = prop_oneof![Just(Value::Missing), ".{0,20}".prop_map(Value::text), any::<i64>().prop_map(Value::Integer)];
        proptest::collection::vec(("[A-Z][a-z]{0,8}".prop_map(Arc::from), value), 0..6)
    }

    proptest! {
        #[test]
        fn a_delivery_is_read_as_it_was_written_with_what_it_expects(
            payload in fields(), expected in proptest::option::of((any::<bool>(), fields())), object in proptest::option::of("[a-z]{1,9}"), cut in 0_usize..400,
        ) {
            let expects = expected.map(|(there, fields)| Arc::new(Expects { there, fields: Personal::new(fields) }));
            let content = DeliveryContent {
                identity: IdentityId { network: Network::X, id: "u1".into() },
                record: RecordKey("[1]".into()),
                object: object.map(Into::into),
                payload: Personal::new(payload),
                expects,
            };
            let bytes = encode_delivery(&content);
            prop_assert_eq!(bytes.first() == Some(&DELIVERY), content.expects.is_none(), "what was written before is read as before");
            prop_assert_eq!(&decode_delivery(&bytes).unwrap(), &content);
            if let Some(part) = bytes.get(..cut).filter(|part| part.len() < bytes.len()) {
                prop_assert!(decode_delivery(part).is_err());
            }
        }
    }
}
