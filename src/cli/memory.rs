//! How the system gives memory to this process.

/// Asks for pages of 4 KiB alone, where the system gives 2 MiB to whoever fills them: what lives long and is touched here and there holds a quarter
/// more memory in large ones (`ops/decisions/0050`). Programs that are started from here inherit it.
#[cfg(target_os = "linux")]
pub fn keep_pages_small() {
    // A system that can't be asked gives what it gives.
    let _refused = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(not(target_os = "linux"))]
pub fn keep_pages_small() {}
