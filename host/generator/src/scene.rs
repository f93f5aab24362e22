//! The scene of one record: values that must be the same everywhere in the record.

use crate::caller::{MACHINES, SERVICES};
use crate::random::Random;
use crate::world::{OBJECTS, World};

/// The account and region of a document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Home {
    pub(crate) account: String,
    pub(crate) region: &'static str,
}

/// The value of `accessKeyId` in the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdentityKey {
    /// A readable value.
    Present,
    /// The empty string.
    Empty,
    /// The member is absent.
    Missing,
}

/// Values drawn for one record.
#[derive(Debug, Clone)]
pub(crate) struct Scene<'a> {
    pub(crate) account: &'a str,
    pub(crate) region: &'static str,
    pub(crate) other_account: &'a str,
    pub(crate) user: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) role: &'a str,
    pub(crate) role_id: &'a str,
    pub(crate) session: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) kms_key: &'a str,
    pub(crate) resource: &'a str,
    /// The text before and after the entity in the key of an object.
    pub(crate) object: (&'static str, &'static str),
    pub(crate) machine: &'static str,
    pub(crate) service: &'static str,
    /// 17 hex digits.
    pub(crate) entity: String,
    /// Seconds since the epoch.
    pub(crate) time: i64,
    /// Seconds since the epoch.
    pub(crate) created: i64,
    /// Whether the caller is `service`.
    pub(crate) from_service: bool,
    pub(crate) identity_key: IdentityKey,
    /// Minimum size of free-form parameters in bytes.
    pub(crate) bulk_bytes: usize,
}

impl<'a> Scene<'a> {
    /// Draws a scene at `time`. The fields that depend on the identity are set later.
    pub(crate) fn draw(world: &'a World, home: &'a Home, time: i64, random: &mut Random) -> Self {
        let (user, user_id) = pick_pair(&world.users, random);
        let (role, role_id) = pick_pair(&world.roles, random);
        let mut entity = Vec::with_capacity(17);
        random.hex(17, &mut entity);
        Self {
            account: &home.account,
            region: home.region,
            other_account: pick(&world.accounts, random),
            user,
            user_id,
            role,
            role_id,
            session: pick(&world.sessions, random),
            bucket: pick(&world.buckets, random),
            kms_key: pick(&world.keys, random),
            resource: pick(&world.resources, random),
            object: random.pick(&OBJECTS),
            machine: random.pick(&MACHINES),
            service: random.pick(&SERVICES),
            entity: String::from_utf8(entity).unwrap_or_default(),
            time,
            created: time - i64::from(random.below(12 * 3600)),
            from_service: false,
            identity_key: IdentityKey::Missing,
            bulk_bytes: 0,
        }
    }
}

fn pick<'a>(from: &'a [String], random: &mut Random) -> &'a str {
    let index = random.below(from.len() as u32);
    from.get(index as usize).map_or("", String::as_str)
}

fn pick_pair<'a>(from: &'a [(String, String)], random: &mut Random) -> (&'a str, &'a str) {
    let index = random.below(from.len() as u32);
    from.get(index as usize).map_or(("", ""), |(name, id)| (name, id))
}
