//! The Lua scripts, with what each needs before it and how it may run. Redis may forget them at any time
//! (`SCRIPT FLUSH`, a restart): [`Script`] loads them again by itself.

use std::sync::LazyLock;

use redis::Script;

/// Refused as a whole when Redis is out of memory or cannot write its file: nothing is half done.
const NEEDS_ROOM: &str = "#!lua";
/// Runs when Redis is out of memory too: it is what makes room again.
const MAKES_ROOM: &str = "#!lua flags=allow-oom";

/// The layout of the data that these scripts read and write. Raised when a program that knows the former one would do
/// harm to it, or find less than there is; then a script in `lua/migrate` leads from the former one to it.
pub(super) const SCHEMA: u32 = 2;

fn script(header: &str, bodies: &[&str]) -> Script {
    let schema = format!("local SCHEMA = '{SCHEMA}'");
    Script::new(&[&[header, &schema, include_str!("lua/lib.lua")], bodies].concat().join("\n"))
}

/// One step of a place from the first schema to the second. Makes no use of what the others share.
pub(super) static MIGRATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[MAKES_ROOM, include_str!("lua/migrate/1.lua")].join("\n")));

macro_rules! scripts {
    ($($name:ident: $header:expr, $($file:literal),+;)*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| script($header, &[$(include_str!($file)),+]));)*
    };
}

scripts! {
    ACCEPT: NEEDS_ROOM, "lua/accept.lua";
    PUT: NEEDS_ROOM, "lua/vitals.lua", "lua/put.lua";
    REPLAY: NEEDS_ROOM, "lua/ends.lua", "lua/rows.lua", "lua/replay.lua";
    ROOM: NEEDS_ROOM, "lua/room.lua";
    RESEAL: NEEDS_ROOM, "lua/reseal.lua";
    LAYOUT: MAKES_ROOM, "lua/layout.lua";
    BEAT: MAKES_ROOM, "lua/beat.lua";
    EVICT: MAKES_ROOM, "lua/ends.lua", "lua/leases.lua", "lua/evict.lua";
    TAKE: MAKES_ROOM, "lua/ends.lua", "lua/leases.lua", "lua/take.lua";
    SETTLE: MAKES_ROOM, "lua/ends.lua", "lua/vitals.lua", "lua/settle.lua";
    MAINTAIN: MAKES_ROOM, "lua/ends.lua", "lua/leases.lua", "lua/rows.lua", "lua/retention.lua", "lua/maintain.lua";
    DELETE: MAKES_ROOM, "lua/ends.lua", "lua/rows.lua", "lua/delete.lua";
    RETRY: MAKES_ROOM, "lua/ends.lua", "lua/rows.lua", "lua/retry.lua";
    PURGE: MAKES_ROOM, "lua/ends.lua", "lua/rows.lua", "lua/purge.lua";
}
