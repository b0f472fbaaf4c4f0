"""An edit as data: timeline, geometry, the 20 x 9 state, the recording's signals."""
