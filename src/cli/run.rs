//! `tidegate run`: the agent itself.

use std::time::Duration;

use clap::Args as Arguments;
use tokio::runtime::Builder;

use super::fault::Fault;
use super::{Context, Ended};
use crate::app;
use crate::exit::Exit;
use crate::hardening::HardeningFault;
use crate::reload::Source;
use crate::shutdown::{Shutdown, Signals};
use crate::telemetry;

/// More threads than this have nothing to do: the agent waits for others.
const THREADS: usize = 4;
/// How long what still runs after the stop may take.
const LEFT: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  tidegate run
  tidegate run --config ./tidegate.toml --set log.format=text
  kill -HUP PID                      # reads the configuration again; the log says what it took";

/// Run the agent until it is told to stop
///
/// The first SIGTERM or SIGINT stops it in good order, the second at once; SIGHUP reads the configuration again. Accesses outlive the process: they
/// end at their deadlines, and are closed after the next start at the latest.
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context, refused: &[HardeningFault]) -> Ended {
    let reading = context.reading()?;
    let telemetry = telemetry::start(reading.config.log)?;
    let last = telemetry.clone();
    for fault in refused {
        tracing::warn!(reason = crate::exit::chain(fault), "Process is less protected than it should be");
    }
    let threads = std::thread::available_parallelism().map_or(1, |found| found.get().min(THREADS));
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|cause| Fault::System { doing: "begin its work", cause })?;
    let ended = runtime.block_on(async {
        let (trigger, shutdown) = Shutdown::new();
        let signals =
            Signals::take(trigger).map_err(|cause| Fault::System { doing: "take its signals", cause })?;
        let environment = context.environment.clone();
        let places = context.places();
        let source = Source::new(move || places.read_again());
        tokio::select! {
            ended = app::run(reading, source, environment, telemetry, shutdown) => {
                ended.map(|()| Exit::Done).map_err(Fault::from)
            }
            () = signals.listen() => Ok(Exit::AtOnce),
        }
    });
    runtime.shutdown_timeout(LEFT);
    last.last_words();
    ended
}
