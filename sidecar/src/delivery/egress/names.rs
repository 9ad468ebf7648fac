//! What names were resolved to lately: every attempt asks, and a busy endpoint's attempts share one look-up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Resolver;
use super::resolve::ResolveError;
use crate::clock::Stopwatch;

/// An answer and its age.
#[derive(Debug)]
struct Answer {
    addresses: Arc<[IpAddr]>,
    asked: Stopwatch,
}

/// The place of one name. Whoever holds it asks; the others wait for that answer.
type Place = Arc<tokio::sync::Mutex<Option<Answer>>>;

/// Looks names up, and knows an answer for a short while. Failures are not remembered.
#[derive(Debug)]
pub(super) struct Names {
    resolver: Arc<dyn Resolver>,
    fresh: Duration,
    places: Mutex<HashMap<String, Place>>,
}

impl Names {
    /// Names known at once. One more, and all are forgotten: that costs a look-up each.
    const MOST: usize = 4096;

    /// `fresh`: how long an answer is believed, from the moment it was asked for.
    pub(super) fn new(resolver: Arc<dyn Resolver>, fresh: Duration) -> Self {
        Self { resolver, fresh, places: Mutex::default() }
    }

    /// Every address of a name. Dropping the future lets the next in line ask.
    pub(super) async fn look_up(&self, host: &str) -> Result<Arc<[IpAddr]>, ResolveError> {
        let place = self.place(host);
        let mut known = place.lock().await;
        if let Some(answer) = known.as_ref().filter(|answer| answer.asked.elapsed() < self.fresh) {
            return Ok(Arc::clone(&answer.addresses));
        }
        *known = None;
        let asked = Stopwatch::start();
        let addresses: Arc<[IpAddr]> =
            self.resolver.resolve(host).await.map_err(ResolveError::Failed)?.into();
        if addresses.is_empty() {
            return Err(ResolveError::Empty);
        }
        *known = Some(Answer { addresses: Arc::clone(&addresses), asked });
        Ok(addresses)
    }

    fn place(&self, host: &str) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(host) {
            return Arc::clone(place);
        }
        if places.len() >= Self::MOST {
            places.clear();
        }
        Arc::clone(places.entry(host.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use async_trait::async_trait;

    use super::*;

    /// Answers slowly, and counts; the first answer is a failure.
    #[derive(Debug, Default)]
    struct Slow(AtomicUsize);

    #[async_trait]
    impl Resolver for Slow {
        async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            let number = self.0.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if number == 0 { Err(io::Error::other("not yet")) } else { Ok(vec![[1, 1, 1, 1].into()]) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_share_one_look_up_for_as_long_as_it_is_fresh() {
        let resolver = Arc::new(Slow::default());
        let names = Names::new(Arc::clone(&resolver) as _, Duration::from_secs(5));
        let asked = || resolver.0.load(SeqCst);
        assert!(names.look_up("a.example").await.is_err());
        let all = futures_util::future::join_all((0..10).map(|_| names.look_up("a.example"))).await;
        assert!(all.iter().all(Result::is_ok), "a failure is not remembered");
        assert_eq!(asked(), 2, "one failed, and one for all ten");
        tokio::time::advance(Duration::from_millis(3_900)).await;
        names.look_up("a.example").await.unwrap();
        assert_eq!(asked(), 2, "4.9 s old");
        tokio::time::advance(Duration::from_millis(100)).await;
        names.look_up("a.example").await.unwrap();
        assert_eq!(asked(), 3, "5 s old");
        names.look_up("b.example").await.unwrap();
        assert_eq!(asked(), 4, "another name");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_given_up_on_blocks_nobody() {
        let names = Names::new(Arc::new(Slow(1.into())), Duration::from_secs(5));
        let given_up = tokio::time::timeout(Duration::from_millis(10), names.look_up("a.example")).await;
        assert!(given_up.is_err());
        names.look_up("a.example").await.unwrap();
    }

    #[tokio::test]
    async fn the_number_of_known_names_is_bounded() {
        #[derive(Debug)]
        struct Prompt;
        #[async_trait]
        impl Resolver for Prompt {
            async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
                Ok(vec![[1, 1, 1, 1].into()])
            }
        }
        let names = Names::new(Arc::new(Prompt), Duration::from_secs(5));
        for number in 0..Names::MOST + 10 {
            names.look_up(&format!("{number}.example")).await.unwrap();
        }
        assert_eq!(names.places.lock().unwrap().len(), 10);
    }
}
