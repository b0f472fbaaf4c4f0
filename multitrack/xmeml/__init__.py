"""Final Cut Pro 7 XML, as Premiere writes it: read, written, safely."""
