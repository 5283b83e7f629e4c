"""The knowledge graph: build it (`kg.build`), ask it (`kg.engine`), serve it (`kg.web`)."""
