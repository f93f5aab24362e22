//! What one record is about: everything that must read the same wherever it stands in the record.

use super::caller::{MACHINES, SERVICES};
use super::random::Random;
use super::world::{OBJECTS, World};

/// The account and region that a document is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Home {
    pub(super) account: String,
    pub(super) region: &'static str,
}

/// What `accessKeyId` of the identity holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdentityKey {
    /// A readable value.
    Present,
    /// The empty string.
    Empty,
    /// Nothing: there is no such member.
    Missing,
}

/// The draws of one record.
#[derive(Debug, Clone)]
pub(super) struct Scene<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'static str,
    pub(super) other_account: &'a str,
    pub(super) user: &'a str,
    pub(super) user_id: &'a str,
    pub(super) role: &'a str,
    pub(super) role_id: &'a str,
    pub(super) session: &'a str,
    pub(super) bucket: &'a str,
    pub(super) kms_key: &'a str,
    pub(super) resource: &'a str,
    /// The text before and after the entity in the key of an object.
    pub(super) object: (&'static str, &'static str),
    pub(super) machine: &'static str,
    pub(super) service: &'static str,
    /// 17 hex digits.
    pub(super) entity: String,
    /// Seconds since the epoch.
    pub(super) time: i64,
    /// Seconds since the epoch.
    pub(super) created: i64,
    /// Whether `service` calls.
    pub(super) from_service: bool,
    pub(super) identity_key: IdentityKey,
    /// The size in bytes that free-form parameters grow to.
    pub(super) bulk_bytes: usize,
}

impl<'a> Scene<'a> {
    /// Draws a scene at `time`; who calls is for the caller to say.
    pub(super) fn draw(world: &'a World, home: &'a Home, time: i64, random: &mut Random) -> Self {
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
