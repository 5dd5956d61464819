use super::*;

const THREAD: ThreadKey = (1, 2);

const fn met(stack: u64, periods: u32, runtime: u64, left_out: u16) -> Met {
    Met {
        stack,
        periods,
        runtime,
        left_out,
    }
}

/// Makes sure that the weights of a thread add up to its runtime whatever the scheduler's rhythm.
#[test]
fn weights_add_up_to_the_runtime() {
    let mut scale = Scale::default();
    let mut weights: HashMap<u64, u64> = HashMap::default();
    let mut weigh = |stack, ns| *weights.entry(stack).or_default() += ns;
    scale.begin(THREAD, 1_000_000);
    // The scheduler accounts every fourth sample.
    for (stack, runtime) in [
        (7, 0),
        (7, 0),
        (8, 0),
        (7, 5_000_000),
        (8, 5_000_000),
        (7, 9_000_001),
    ] {
        let runtime = if runtime == 0 { 1_000_000 } else { runtime };
        scale.sample(THREAD, met(stack, 1, runtime, 0), 1_000_000, &mut weigh);
    }
    scale.end(THREAD, Some(9_500_000), 0, 1_000_000, &mut weigh);
    assert_eq!(weights.values().sum::<u64>(), 8_500_000);
    // 3 of 4 ms, half of 4.000001 ms and the rest, against 1 of 4 ms and the other half.
    assert_eq!(weights[&8], 1_000_000 + 2_000_000);
}

/// Makes sure that the time of a thread which no sample has met is not lost, nor counted twice where a sample
/// comes after the news of its end.
#[test]
fn threads_that_no_sample_meets() {
    let mut scale = Scale::default();
    let mut weights: HashMap<u64, u64> = HashMap::default();
    let mut unmet = 0;
    scale.begin(THREAD, 100);
    let late = (1, 3);
    for thread in [THREAD, late] {
        scale.end(thread, Some(300), 0, 100, |_, _| {
            panic!("there is no sample")
        });
    }
    let mut left = |_, rest| match rest {
        Rest::Unmet(ns) => unmet += ns,
        Rest::Owed(_) => panic!("no sample was lost"),
    };
    scale.tidy(&mut left);
    scale.sample(late, met(7, 1, 250, 0), 100, |stack, ns| {
        *weights.entry(stack).or_default() += ns;
    });
    for _ in 0..4 {
        scale.tidy(&mut left);
    }
    scale.close(&mut left);
    assert_eq!((unmet, weights[&7]), (200, 300));
}

/// Makes sure that what was not accounted when a thread ended is added, with samples and without.
#[test]
fn final_figures_are_added() {
    let mut scale = Scale::default();
    let (mut sum, mut unmet) = (0, 0);
    let sampled = (1, 3);
    assert_eq!(scale.finish(sampled, 100, 10, |_, _| {}), None);
    scale.sample(sampled, met(7, 1, 50, 0), 10, |_, ns| sum += ns);
    for thread in [sampled, THREAD] {
        scale.end(thread, Some(100), 0, 10, |_, ns| sum += ns);
        assert_eq!(scale.finish(thread, 130, 10, |_, ns| sum += ns), Some(30));
        assert_eq!(scale.finish(thread, 130, 10, |_, ns| sum += ns), Some(0));
    }
    scale.close(|_, rest| {
        assert_eq!(rest, Rest::Unmet(130));
        unmet += 1;
    });
    assert_eq!((sum, unmet), (130, 1));
}

/// Makes sure that samples keep their periods where the scheduler's figure is not to be had.
#[test]
fn periods_stand_in_for_the_runtime() {
    let mut scale = Scale::default();
    let mut sum = 0;
    scale.sample(THREAD, met(7, 2, 0, 0), 10, |_, ns| sum += ns);
    scale.sample(THREAD, met(7, 0, 0, 0), 10, |_, ns| sum += ns);
    scale.end(THREAD, None, 0, 10, |_, ns| sum += ns);
    assert_eq!(sum, 30);
}

/// Makes sure that what a thread used while samples were lost is not all given to the next one, and is not lost:
/// samples that come late take their part of it, and the rest is told at the end.
#[test]
fn time_of_lost_samples_is_owed() {
    let mut scale = Scale::default();
    let mut weights: HashMap<u64, u64> = HashMap::default();
    let mut weigh = |stack, ns| *weights.entry(stack).or_default() += ns;
    scale.sample(THREAD, met(7, 1, 10, 0), 10, &mut weigh);
    scale.sample(THREAD, met(8, 2, 1_010, 0), 10, &mut weigh);
    scale.sample(THREAD, met(7, 3, 500, 0), 10, &mut weigh);
    scale.sample(THREAD, met(8, 1, 1_020, 0), 10, &mut weigh);
    scale.end(THREAD, Some(1_030), 0, 10, &mut weigh);
    let own = 20 * STRETCH;
    assert_eq!((weights[&7], weights[&8]), (10 + 30, own + 10 + 10));
    let mut left = Vec::new();
    scale.close(|thread, rest| left.push((thread, rest)));
    assert_eq!(left, [(THREAD, Rest::Owed(1_000 - own - 30))]);
}

/// Makes sure that a thread all of whose samples were lost is found by what it used, and one that hardly used
/// anything is not.
#[test]
fn threads_without_samples_are_found() {
    let mut scale = Scale::default();
    scale.begin((1, 1), 5_000);
    scale.sample((1, 2), met(7, 1, 50, 0), 10, |_, _| {});
    let runtimes = HashMap::from_iter([((1, 1), 5_010), ((1, 2), 900), ((1, 3), 11), ((1, 4), 10)]);
    assert_eq!(scale.missed(&runtimes, 10), [(1, 3)]);
}

/// Makes sure that the time in which a filter left a thread out is nobody's: neither before its first sample, nor
/// between two, nor after the last.
#[test]
fn time_that_was_left_out_weighs_nothing() {
    let mut scale = Scale::default();
    let mut sum = 0;
    // Of 1000 periods before the first sample, one is wanted; and two more before it is left out again.
    scale.sample(THREAD, met(7, 1, 10_000, 999), 10, |_, ns| sum += ns);
    scale.sample(THREAD, met(7, 1, 10_020, 999), 10, |_, ns| sum += ns);
    assert_eq!(sum, 10 + 20);
    // The scheduler accounts only the second of two samples after the gap.
    scale.sample(THREAD, met(7, 1, 10_020, 1200), 10, |_, ns| sum += ns);
    scale.sample(THREAD, met(8, 1, 15_000, 1200), 10, |_, ns| sum += ns);
    assert_eq!(sum, 30 + 20);
    scale.end(THREAD, Some(20_000), 1300, 10, |_, ns| sum += ns);
    assert_eq!(sum, 50);
}
