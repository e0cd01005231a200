//! The log: to a person's terminal, or to journald with the priority before each line (`sd-daemon(3)`).
//!
//! Owns: which of the two, and the form of a line. Fields stand behind the message; journald adds the time.

use std::fmt;
use std::io::IsTerminal;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, format};
use tracing_subscriber::registry::LookupSpan;

/// Starts the log of this process on standard error. Its detail follows `RUST_LOG`.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // systemd.exec(5): set where standard error leads to journald.
    if std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal() {
        log.with_ansi(false).event_format(WithPriority(format().without_time().with_ansi(false))).init();
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

/// A format with syslog(3)'s number of the level before it.
struct WithPriority<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithPriority<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_line_begins_with_its_priority() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.try_clone().unwrap())
            .event_format(WithPriority(format().without_time().with_ansi(false)))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(what = "disk", "nearly full");
            tracing::info!("fine");
        });
        let mut told = String::new();
        reader.read_to_string(&mut told).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert!(
            lines[0].starts_with("<4> WARN ") && lines[0].ends_with("nearly full what=\"disk\""),
            "{told}"
        );
        assert!(lines[1].starts_with("<6> INFO "), "{told}");
    }
}
