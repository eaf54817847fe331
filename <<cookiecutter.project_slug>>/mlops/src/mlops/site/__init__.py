"""The documentation as a site: the pages of a project and of the engine's manual."""
