//! Numbers that go from what is remembered of people.
