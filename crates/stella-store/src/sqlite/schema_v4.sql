-- A PIN is about to be tried: noted before, and struck out when the token has
-- answered. What stays was cut off, and the token may have counted it.

CREATE TABLE signer.unanswered_logins (
    token_serial TEXT NOT NULL CHECK (token_serial <> '') PRIMARY KEY,
    tries        INTEGER NOT NULL CHECK (tries > 0),
    last_at      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
