//! What holds whatever the rules say (RET-C19).

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tidegate_codec::identity::SystemId;

use super::span::DAY_MS;
use super::tests::rule;
use super::*;
use crate::pseudonym::Pseudonym;

fn account() -> SystemId {
    "shop".parse().unwrap()
}

fn spans() -> impl Strategy<Value = Span> {
    (0..3_u32, 0..40_u32).prop_map(|(months, days)| Span::new(months, days, 0).unwrap())
}

fn afters() -> impl Strategy<Value = After> {
    prop_oneof![
        8 => spans().prop_map(After::Span),
        1 => Just(After::NoStore),
        1 => Just(After::Never),
    ]
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let anchors = prop::sample::select(vec![
        Anchor::Accepted,
        Anchor::Final,
        Anchor::Created,
        Anchor::Closed,
        Anchor::LastUsed,
    ]);
    let any = (
        prop::sample::select(Kind::ALL),
        anchors,
        afters(),
        prop::sample::select(Action::ALL),
        any::<(bool, bool)>(),
    );
    let any = any.prop_map(|(kind, anchor, after, action, (extend, shorten))| Rule {
        extend,
        shorten,
        ..rule(kind, anchor, after, action)
    });
    vec(any, 0..5)
}

/// Days, so that dates often fall together.
fn instants() -> impl Strategy<Value = u64> {
    (0..150_u64).prop_map(|day| day * DAY_MS)
}

fn scopes() -> impl Strategy<Value = Scope> {
    let recipients = option::of((0..3_u8).prop_map(|octet| Pseudonym::from_octets([octet; 16])));
    (recipients, option::of(instants())).prop_map(|(recipient, until_ms)| Scope {
        recipient,
        until_ms,
        ..Scope::default()
    })
}

fn instructions() -> impl Strategy<Value = Vec<Instruction>> {
    let wishes = prop_oneof![3 => spans().prop_map(Wish::After), 1 => Just(Wish::NoStore)];
    let any = (wishes, instants(), 0..9_u32).prop_map(|(wish, effective_ms, version)| Instruction {
        account: account(),
        class: Class::Body,
        senders: None,
        category: None,
        message: None,
        wish,
        version,
        given_ms: effective_ms,
        effective_ms,
    });
    vec(any, 0..4)
}

fn holds() -> impl Strategy<Value = Vec<Hold>> {
    let any = (scopes(), any::<bool>(), instants(), option::of(0..60_u64));
    let any = any.prop_map(|(scope, future, taken_ms, days)| Hold {
        matter: "m".into(),
        scope,
        future,
        taken_ms,
        released_ms: days.map(|days| taken_ms + days * DAY_MS),
    });
    vec(any, 0..4)
}

fn erasures() -> impl Strategy<Value = Vec<Erasure>> {
    let any = (scopes(), instants()).prop_map(|(scope, requested_ms)| Erasure {
        request: "e".into(),
        scope,
        requested_ms,
    });
    vec(any, 0..3)
}

fn facts() -> impl Strategy<Value = Facts<'static>> {
    let at = (
        instants(),
        option::of(0..20_u64),
        option::of(0..20_u64),
        option::of(instants()),
    );
    (at, option::of(0..3_u8)).prop_map(|((accepted_ms, finally, validity, used), recipient)| {
        let mut facts = Facts::new(account(), Class::Body);
        facts.at.accepted_ms = Some(accepted_ms);
        facts.at.final_ms = finally.map(|days| accepted_ms + days * DAY_MS);
        facts.at.validity_ms = validity.map(|days| days * DAY_MS);
        facts.at.last_used_ms = used;
        facts.recipient = recipient.map(|octet| Pseudonym::from_octets([octet; 16]));
        facts
    })
}

#[derive(Clone, Debug)]
struct World {
    facts: Facts<'static>,
    rules: Vec<Rule>,
    instructions: Vec<Instruction>,
    holds: Vec<Hold>,
    erasures: Vec<Erasure>,
    closure: Option<u64>,
}

fn worlds() -> impl Strategy<Value = World> {
    let parts = (
        facts(),
        rules(),
        instructions(),
        holds(),
        erasures(),
        option::of(instants()),
    );
    parts.prop_map(|(facts, rules, instructions, holds, erasures, closure)| World {
        facts,
        rules,
        instructions,
        holds,
        erasures,
        closure,
    })
}

/// What of a decision does not borrow.
type Told = (State, Option<u64>, Action);

impl World {
    fn at(&self, now_ms: u64) -> Told {
        let rules = RuleSet::new("test", self.rules.iter().cloned());
        let decision = decide(
            &self.facts,
            &rules,
            &self.instructions,
            &self.holds,
            &self.erasures,
            self.closure,
            now_ms,
        );
        // Words can always be made of it.
        assert!(decision.by.iter().all(|by| !by.to_string().is_empty()));
        (decision.state, decision.due_ms, decision.action)
    }

    /// Dates of the rules of a kind, reckoned once more; `None` where there is none.
    fn dates(&self, kind: Kind) -> impl Iterator<Item = (Option<u64>, Action)> {
        let rules = self.rules.iter().filter(move |rule| rule.kind == kind);
        rules.map(|rule| {
            let anchor = self.facts.instant(rule.anchor, self.closure);
            let date = match rule.after {
                After::Span(span) => anchor.map(|from_ms| span.after(from_ms)),
                After::NoStore => self.facts.instant(Anchor::Final, self.closure),
                After::Never => None,
            };
            (date, rule.action)
        })
    }

    fn floor(&self) -> u64 {
        let dates = self.dates(Kind::Floor);
        dates.map(|(date, _)| date.unwrap_or(u64::MAX)).max().unwrap_or(0)
    }
}

fn is_gone(state: State) -> bool {
    matches!(state, State::Due | State::NotStored)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn nothing_is_gone_before_a_floor_nor_stays_past_a_ceiling(world in worlds(), now_ms in instants()) {
        let (state, due_ms, _) = world.at(now_ms);
        let unheld = World { holds: Vec::new(), ..world.clone() };
        if world.rules.is_empty() {
            prop_assert_eq!(unheld.at(now_ms).0, State::NotStored);
            prop_assert_eq!(due_ms, None);
            return Ok(());
        }
        let floor = world.floor();
        prop_assert!(!is_gone(state) || now_ms >= floor, "gone before {floor}");
        prop_assert!(due_ms.is_none_or(|due_ms| due_ms >= floor));
        let (state, due_ms, _) = unheld.at(now_ms);
        prop_assert_ne!(state, State::Sealed, "nothing holds it");
        // Limits bind like ceilings where nobody instructs.
        let mut kinds = vec![Kind::Ceiling];
        if world.instructions.is_empty() {
            kinds.push(Kind::Limit);
        }
        let dates = kinds.into_iter().flat_map(|kind| world.dates(kind));
        let acting = dates.filter(|(_, action)| *action != Action::Keep);
        let erasures = world.erasures.iter().filter(|erasure| erasure.covers(&world.facts));
        let latest = acting.filter_map(|(date, _)| date).chain(erasures.map(|erasure| erasure.requested_ms)).min();
        if let Some(latest) = latest && floor != u64::MAX {
            let latest = latest.max(floor);
            prop_assert!(due_ms.is_some_and(|due_ms| due_ms <= latest), "{due_ms:?} after {latest}");
            prop_assert!(now_ms < latest || is_gone(state));
        }
    }

    #[test]
    fn what_is_due_is_due_for_ever_whatever_is_said_afterwards(
        world in worlds(),
        now_ms in instants(),
        later in instants(),
        afterwards in (instructions(), holds(), erasures()),
    ) {
        let (state, ..) = world.at(now_ms);
        let later = now_ms + later;
        if is_gone(state) {
            prop_assert!(is_gone(world.at(later).0));
            let mut after = world.clone();
            let (instructions, holds, erasures) = afterwards;
            after.instructions.extend(instructions.into_iter().filter(|one| one.effective_ms > now_ms));
            // The exception is a class without a rule, of which nothing is there.
            after.holds.extend(holds.into_iter().filter(|one| one.taken_ms >= now_ms && !world.rules.is_empty()));
            after.erasures.extend(erasures.into_iter().filter(|one| one.requested_ms > now_ms));
            after.closure = after.closure.or(Some(later));
            let open_floor = world.rules.iter().any(|rule| rule.kind == Kind::Floor && rule.anchor == Anchor::Closed);
            if !open_floor {
                prop_assert!(is_gone(after.at(later).0), "{:?}", after.at(later));
            }
        }
    }

    #[test]
    fn a_hold_more_never_lets_go_earlier_and_touches_nothing_that_it_does_not_cover(
        world in worlds(),
        more in holds(),
        now_ms in instants(),
    ) {
        let before = world.at(now_ms);
        let mut after = world.clone();
        after.holds.extend(more.iter().cloned());
        let held = after.at(now_ms);
        prop_assert!(is_gone(before.0) || !is_gone(held.0));
        if !more.iter().any(|hold| hold.covers(&world.facts)) {
            prop_assert_eq!(held, before);
        }
        if let (Some(before), Some(held)) = (before.1, held.1) {
            prop_assert!(held >= before || before > now_ms || is_gone(world.at(now_ms).0));
        }
    }

    #[test]
    fn of_all_that_want_it_gone_by_then_the_strongest_acts(world in worlds()) {
        let world = World { instructions: Vec::new(), holds: Vec::new(), ..world };
        let (_, due_ms, action) = world.at(0);
        let Some(due_ms) = due_ms else { return Ok(()) };
        let dated = world.dates(Kind::Limit).chain(world.dates(Kind::Ceiling));
        let dated = dated.filter_map(|(date, action)| Some((date?, action)));
        let erasures = world.erasures.iter().filter(|erasure| erasure.covers(&world.facts));
        let wants = dated.chain(erasures.map(|erasure| (erasure.requested_ms, Action::Purge)));
        let by_then = wants.filter(|(date, action)| *date <= due_ms && *action != Action::Keep);
        prop_assert_eq!(action, by_then.map(|(_, action)| action).max().unwrap_or(Action::Purge));
    }

    #[test]
    fn only_a_request_that_a_floor_refuses_restricts(world in worlds(), now_ms in instants()) {
        let (state, due_ms, _) = world.at(now_ms);
        let mut erasures = world.erasures.iter().filter(|erasure| erasure.covers(&world.facts));
        let is_asked = erasures.any(|erasure| erasure.requested_ms <= now_ms);
        let is_there = due_ms.is_none_or(|due_ms| now_ms < due_ms);
        prop_assert_eq!(state == State::Restricted, is_asked && is_there && !world.rules.is_empty());
        prop_assert!(state != State::Restricted || world.floor() > now_ms);
    }

    #[test]
    fn no_instant_is_out_of_reach(at_ms in any::<u64>(), now_ms in any::<u64>(), span in spans()) {
        let mut facts = Facts::new(account(), Class::Body);
        facts.at.accepted_ms = Some(at_ms);
        facts.at.validity_ms = Some(now_ms);
        let limit = rule(Kind::Limit, Anchor::Final, After::Span(span), Action::Purge);
        let rules = RuleSet::new("test", [limit]);
        let decision = decide(&facts, &rules, &[], &[], &[], None, now_ms);
        prop_assert!(decision.due_ms.is_none_or(|due_ms| due_ms >= at_ms));
        for bucket in [Bucket::Hour, Bucket::Day, Bucket::IsoWeek] {
            let around = bucket.around(at_ms);
            prop_assert!(around.contains(&at_ms) || around.end == u64::MAX);
        }
    }
}
