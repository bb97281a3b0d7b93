//! The board between loop and watchers.
