//! How many connections there are at once, and which one gives way to a new one.
//!
//! Owns: the count, and the moment at which a connection ends that nobody asked to end. Never: a byte of what is said.
//!
//! On the box every client comes from loopback, through a tunnel or a front server, so an address tells nobody from another:
//! what tells them apart is whether they want something. When all seats are taken, the newcomer gets the one
//!
//! 1. of whoever has asked for nothing yet, or nothing more, for the longest time; if all have asked,
//! 2. of whoever has neither sent nor taken a byte for the longest time.
//!
//! So a crowd of clients that never end their requests only drive out each other, and the health check, whose request comes
//! in one piece, is answered. A meter or a download that moves is the last to go.
//!
//! ```text
//!   sit ─▶ [waiting] ──request whole──▶ [asked] ──WebSocket──▶ [asked, for good]
//!             ▲  │ `head` has passed       │
//!             │  └─▶ closed                │ answer sent
//!             └────────────────────────────┘
//! ```

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once. Each has a descriptor for itself and up to two for what it asks for (a file, the engine's socket), and
    /// up to a megabyte and a quarter of memory at its worst: a whole body, and a piece of a download.
    pub connections: usize,
    /// How long a client may take to send a request's head, and sit there between two requests.
    pub head: Duration,
}

impl Default for Limits {
    /// 256, or a quarter of the descriptors that this process may have; 15 s. A browser opens six connections to a page.
    fn default() -> Self {
        let descriptors = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
            .map_or(usize::MAX, |(now, _)| usize::try_from(now).unwrap_or(usize::MAX));
        Self { connections: (descriptors / 4).clamp(8, 256), head: Duration::from_secs(15) }
    }
}

/// All seats of a server, whatever sockets it listens on. Clones share them.
#[derive(Debug, Clone)]
pub struct Seats(Arc<Table>);

#[derive(Debug)]
struct Table {
    limits: Limits,
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    seats: Vec<Arc<Place>>,
    /// When somebody who looks after the box was last told that seats are short.
    told: Option<Instant>,
}

/// One seat, as table and connection both see it.
#[derive(Debug)]
struct Place {
    gives_way: CancellationToken,
    state: Mutex<State>,
    /// Told when it may have become the client's turn.
    turned: Notify,
}

impl Place {
    /// Ends when the client has taken too long to ask for something.
    async fn too_long(&self, head: Duration) {
        loop {
            let state = *lock(&self.state);
            let deadline = state.since + head;
            match state.wants() {
                false if deadline <= Instant::now() => return,
                false => tokio::time::sleep_until(deadline).await,
                true => self.turned.notified().await,
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// A request is in hand: read whole, and its answer not sent yet.
    asked: bool,
    /// The client takes what it asked for so slowly that bytes wait for it.
    stuck: bool,
    /// Since when: while it waits, when that began; while it has asked, when a byte moved last.
    since: Instant,
}

impl State {
    /// Whether the client waits for something, and not the server for the client.
    fn wants(self) -> bool {
        self.asked || self.stuck
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seats {
    /// So many seats, all free.
    pub fn new(limits: Limits) -> Self {
        let free = Arc::new(Semaphore::new(limits.connections));
        Self(Arc::new(Table { limits, free, taken: Mutex::default() }))
    }

    /// Connections that there are now.
    pub fn taken(&self) -> usize {
        self.0.limits.connections - self.0.free.available_permits()
    }

    /// A seat; if there is none left, somebody's who gives way. Waits until that one has gone.
    pub(crate) async fn sit(&self) -> Seat {
        let free = Arc::clone(&self.0.free);
        let permit = match Arc::clone(&free).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                self.make_room();
                free.acquire_owned().await.ok() // never closed
            }
        };
        let state = State { asked: false, stuck: false, since: Instant::now() };
        let place = Arc::new(Place {
            gives_way: CancellationToken::new(),
            state: Mutex::new(state),
            turned: Notify::new(),
        });
        lock(&self.0.taken).seats.push(Arc::clone(&place));
        Seat { seats: self.clone(), place, _permit: permit }
    }

    fn make_room(&self) {
        let now = Instant::now();
        let mut taken = lock(&self.0.taken);
        let quietest =
            taken.seats.iter().enumerate().filter(|(_, place)| !place.gives_way.is_cancelled()).min_by_key(
                |(_, place)| {
                    let state = lock(&place.state);
                    (state.wants(), state.since)
                },
            );
        if let Some((n, _)) = quietest {
            taken.seats.remove(n).gives_way.cancel();
        }
        if taken.told.is_none_or(|told| now - told >= Duration::from_secs(60)) {
            taken.told = Some(now);
            tracing::warn!(
                "{} connections are open, which is all that this server has at once; the one that is quiet for longest gives way \
                 to each new one",
                self.0.limits.connections
            );
        }
    }
}

/// A connection's seat, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    place: Arc<Place>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.seats.0.taken).seats.retain(|place| !Arc::ptr_eq(place, &self.place));
    }
}

impl Seat {
    /// Fires when this connection has to give way.
    pub(crate) fn gives_way(&self) -> CancellationToken {
        self.place.gives_way.clone()
    }

    /// Ends when its client takes longer than [`Limits::head`] to ask for something.
    pub(crate) fn too_long(&self) -> impl Future<Output = ()> + Send + use<> {
        let (place, head) = (Arc::clone(&self.place), self.seats.0.limits.head);
        async move { place.too_long(head).await }
    }

    /// How its requests are told.
    pub(crate) fn asks(&self) -> Asks {
        Asks(Arc::clone(&self.place))
    }

    fn moved(&self, change: impl FnOnce(&mut State) -> bool) {
        let mut state = lock(&self.place.state);
        if change(&mut state) {
            state.since = Instant::now();
        }
        if !state.stuck {
            self.place.turned.notify_one();
        }
    }
}

/// The requests of one connection, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Asks(Arc<Place>);

impl Asks {
    /// A request was read; it is in hand until what this gives is dropped.
    pub(crate) fn begin(&self) -> InHand {
        *lock(&self.0.state) = State { asked: true, stuck: false, since: Instant::now() };
        InHand(Some(Arc::clone(&self.0)))
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct InHand(Option<Arc<Place>>);

impl InHand {
    /// The connection is a WebSocket now, and is asked for something for as long as it lives.
    pub(crate) fn for_good(mut self) {
        self.0 = None;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            let mut state = lock(&place.state);
            state.asked = false;
            state.since = Instant::now();
            place.turned.notify_one();
        }
    }
}

/// A connection on its seat: says what moves, and ends when it has to give way.
#[derive(Debug)]
pub(crate) struct Seated<S> {
    stream: S,
    seat: Seat,
    gives_way: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Seated<S> {
    pub(crate) fn new(stream: S, seat: Seat) -> Self {
        let gives_way = Box::pin(seat.gives_way().cancelled_owned());
        Self { stream, seat, gives_way }
    }

    fn stays(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.gives_way.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it gave way to another"))
            }
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(0) | Err(_)) => {}
            Poll::Ready(Ok(_)) => self.seat.moved(|state| {
                state.stuck = false;
                true
            }),
            Poll::Pending => self.seat.moved(|state| {
                state.stuck = true;
                false
            }),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Seated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stays(cx)?;
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            // What a head comes in pieces of wins it no time.
            self.seat.moved(|state| state.asked);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Seated<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stays(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stays(cx)?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(connections: usize) -> Seats {
        Seats::new(Limits { connections, head: Duration::from_secs(15) })
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_for_nothing_goes_first_then_who_is_quiet_for_longest() {
        let seats = seats(3);
        let second = async || tokio::time::advance(Duration::from_secs(1)).await;
        let one = seats.sit().await;
        let asked = one.asks().begin();
        second().await;
        let two = seats.sit().await;
        second().await;
        let three = seats.sit().await;
        assert_eq!(seats.taken(), 3);
        let went = async |gone: Seat| {
            let token = gone.gives_way();
            let both = async {
                tokio::join!(seats.sit(), async move {
                    token.cancelled().await;
                    drop(gone);
                })
            };
            tokio::time::timeout(Duration::from_secs(1), both).await.expect("this one gives way").0
        };
        second().await;
        let four = went(two).await; // the first has asked
        let (_three, _four) = (three.asks().begin(), four.asks().begin());
        second().await;
        one.moved(|_| true);
        let five = went(three).await; // all have asked; the first moved a byte since
        second().await;
        drop(asked);
        second().await;
        let six = went(five).await; // it has asked for nothing for longer than the first
        let seven = went(one).await;
        assert_eq!(seats.taken(), 3);
        drop((four, six, seven));
        assert_eq!(seats.taken(), 0);
        assert!(lock(&seats.0.taken).seats.is_empty());
    }
}
