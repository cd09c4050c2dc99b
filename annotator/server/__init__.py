"""``annotator serve``: the engine over HTTP, for programs of other languages and other machines (extra ``serve``)."""
