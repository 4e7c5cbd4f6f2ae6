-- PINs that tokens refused, so that no process tries one again by itself: a
-- service that is restarted for ever would lock the token. Of a PIN there is
-- only a slow, salted hash.

CREATE TABLE signer.refused_pins (
    token_serial TEXT NOT NULL CHECK (token_serial <> ''),
    salt         BLOB NOT NULL CHECK (length(salt) = 16),
    hash         BLOB NOT NULL CHECK (length(hash) = 32),
    refused_at   TEXT NOT NULL,
    PRIMARY KEY (token_serial, salt)
) STRICT, WITHOUT ROWID;
