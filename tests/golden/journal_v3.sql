BEGIN TRANSACTION;
CREATE TABLE journal (
	id INTEGER NOT NULL, 
	ts VARCHAR NOT NULL, 
	app VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	phase VARCHAR NOT NULL, 
	release_id VARCHAR, 
	generation_id VARCHAR, 
	version INTEGER, 
	epoch INTEGER, 
	requester VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	figures VARCHAR NOT NULL, 
	intent_id INTEGER, 
	previous_hash VARCHAR NOT NULL, 
	hash VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "journal" VALUES(1,'2026-11-01T12:00:00.250000+00:00','movies','promote','intent','r-00000000000a','g-00000000000a',1,0,'cli:ada','Every gate was passed.','{"gates": [{"name": "ndcg", "passed": true, "sentence": "NDCG@10 0.300, the floor is 0.05", "threshold": 0.05, "value": 0.3}]}',NULL,'0000000000000000000000000000000000000000000000000000000000000000','636fecea1d30a7e1787d0b9399bb89e06737bcbc3117b566b72efd3f3ec5c52c');
INSERT INTO "journal" VALUES(2,'2026-11-01T12:00:30.500000+00:00','movies','promote','done','r-00000000000a','g-00000000000a',1,1,'cli:ada','Every gate was passed.','{"gates": [{"name": "ndcg", "passed": true, "sentence": "NDCG@10 0.300, the floor is 0.05", "threshold": 0.05, "value": 0.3}]}',1,'636fecea1d30a7e1787d0b9399bb89e06737bcbc3117b566b72efd3f3ec5c52c','61d7f745b03be7ed279c9a41074271ffc8aabd9cf59e867d818a8496fd369afb');
INSERT INTO "journal" VALUES(3,'2026-11-01T12:01:00.750000+00:00','movies','registry_write','intent',NULL,NULL,NULL,NULL,'slate','version 1 accepted','{"after": {"aliases": {"production": 1}, "stages": {"1": "Production"}}, "before": {"aliases": {}, "stages": {"1": "None"}}, "remarks": {}}',NULL,'61d7f745b03be7ed279c9a41074271ffc8aabd9cf59e867d818a8496fd369afb','52967118d23ac4f0dace12c169997edb0a88a3a63d7b23371f46bf8fb1dcd209');
INSERT INTO "journal" VALUES(4,'2026-11-01T12:01:31+00:00','movies','registry_write','done',NULL,NULL,NULL,NULL,'slate','version 1 accepted','{"after": {"aliases": {"production": 1}, "stages": {"1": "Production"}}, "before": {"aliases": {}, "stages": {"1": "None"}}, "remarks": {}}',3,'52967118d23ac4f0dace12c169997edb0a88a3a63d7b23371f46bf8fb1dcd209','c6705e2c02fe893c4899f1e7ead34729c7947ba9a5475d92cd260b85bd4d1ed1');
INSERT INTO "journal" VALUES(5,'2026-11-01T12:02:01.250000+00:00','shop','refuse','done','r-00000000000b',NULL,7,NULL,'mlflow','zu schlecht: Müllers Töpfe ☃','{}',NULL,'c6705e2c02fe893c4899f1e7ead34729c7947ba9a5475d92cd260b85bd4d1ed1','55c8b7536367f6158804b6395a6703d47482f75ed46387e7611d2581236bc2e0');
INSERT INTO "journal" VALUES(6,'2026-11-01T12:02:31.500000+00:00','movies','record','done','r-00000000000a',NULL,1,NULL,'slate','','{"commit": "c0ffee"}',NULL,'55c8b7536367f6158804b6395a6703d47482f75ed46387e7611d2581236bc2e0','db8ff9ebdaae2553c4f54fb4768ae5df1dba85a371e0642b72f772fe10ffd3e9');
INSERT INTO "journal" VALUES(7,'2026-11-01T12:03:01.750000+00:00','movies','stage','done',NULL,NULL,NULL,NULL,'slate','Taken out of Staging.','{}',NULL,'db8ff9ebdaae2553c4f54fb4768ae5df1dba85a371e0642b72f772fe10ffd3e9','416530f9b440a4fdf191f2e02225835cf13da561d429b7103ba1d2639c3ac5c8');
CREATE TABLE journal_checkpoints (
	kind VARCHAR NOT NULL, 
	app VARCHAR NOT NULL, 
	entry_id INTEGER NOT NULL, 
	entry_hash VARCHAR NOT NULL, 
	latest_ts VARCHAR NOT NULL, 
	content VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	PRIMARY KEY (kind, app, entry_id)
);
INSERT INTO "journal_checkpoints" VALUES('view:1','movies',7,'416530f9b440a4fdf191f2e02225835cf13da561d429b7103ba1d2639c3ac5c8','2026-11-01T12:03:01.750000+00:00','{"canary": [], "canary_runs": false, "generations": ["g-00000000000a"], "intents": [], "moves": {"older": {"latest": {}, "order": 0, "since": null, "way": []}, "recent": [[1, 2, "r-00000000000a", false]]}, "n_entries": 6, "production": 2, "sighting": 4, "staging": null, "tokens": []}','850932dccf448b2b');
CREATE TABLE journal_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT journal_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "journal_version" VALUES('0003');
CREATE INDEX ix_journal_app ON journal (app);
CREATE TRIGGER journal_refuses_UPDATE BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: UPDATE is refused'); END;
CREATE TRIGGER journal_refuses_DELETE BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: DELETE is refused'); END;
CREATE TRIGGER journal_refuses_elsewhere BEFORE INSERT ON journal
    WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM journal) OR NEW.previous_hash IS NOT coalesce((SELECT hash FROM journal ORDER BY id DESC LIMIT 1), '0000000000000000000000000000000000000000000000000000000000000000')
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only: an entry follows the last one'); END;
CREATE TRIGGER journal_checkpoints_refuse_UPDATE BEFORE UPDATE ON journal_checkpoints
        BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only: UPDATE is refused'); END;
CREATE TRIGGER journal_checkpoints_refuse_DELETE BEFORE DELETE ON journal_checkpoints
        BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only: DELETE is refused'); END;
CREATE TRIGGER journal_checkpoints_refuse_wrong BEFORE INSERT ON journal_checkpoints WHEN 
    NOT EXISTS (SELECT 1 FROM journal WHERE id = NEW.entry_id AND hash = NEW.entry_hash)
    OR EXISTS (
        SELECT 1 FROM journal_checkpoints WHERE kind = NEW.kind AND app = NEW.app AND entry_id = NEW.entry_id
    )

    BEGIN SELECT RAISE(ABORT, 'a checkpoint is written once, of an entry that is there'); END;
COMMIT;
