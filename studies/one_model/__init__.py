"""One network and one text encoder for pictures, films, objects and sounds."""
