"""Everything that outlives a process: database, images, embeddings, networks."""
