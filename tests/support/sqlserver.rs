//! The SQL Server that the environment names.

pub fn spec() -> Option<kith::declare::config::ServerSpec> {
    eprintln!("SKIPPED: KITH_TEST_SQLSERVER_URL names no server");
    None
}
