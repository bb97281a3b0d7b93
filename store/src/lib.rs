//! Everything Tidegate keeps on disk.
