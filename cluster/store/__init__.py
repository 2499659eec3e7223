"""Floor 1: durable state behind one small interface: commit a batch, load everything."""
