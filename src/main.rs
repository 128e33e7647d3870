//! The `kith` binary: arguments and surroundings are read here, everything else happens in the library.

use clap::Parser as _;
use kith::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors: clap knows the stream and the code. A closed stream is nobody's concern here.
            let written = error.print();
            return if error.use_stderr() || written.is_err() { cli::Exit::Wrong.into() } else { cli::Exit::Fine.into() };
        }
    };
    cli::run(arguments, cli::Environment::read()).into()
}
