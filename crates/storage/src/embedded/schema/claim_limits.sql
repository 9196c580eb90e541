-- What a requester has claimed lately, of all and of one target, and what of a target's one-time keys has gone out.
CREATE INDEX claims_by_requester ON claims (requester, made_at);
CREATE INDEX claims_by_pair ON claims (requester, target, made_at);
CREATE INDEX claims_with_keys ON claims (target, made_at)
    WHERE one_time_curve IS NOT NULL OR one_time_kem IS NOT NULL;
