//! `stella serve`: the instance behind a socket and, if asked for, TCP.
