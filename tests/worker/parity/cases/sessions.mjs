// Parity cases: sessions and bookmarks. Bookmarks are compared by shape, see canonical.mjs.

export const setup = ["CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES(1,'a')"];

const shape = (bookmark) => (/^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/.test(bookmark) ? "8-8-8-32 hex" : String(bookmark));
const afterRead = async (session) => {
  const row = await session.prepare("SELECT * FROM t").first();
  return [row, shape(session.getBookmark())];
};
const ours = (text) => ({ DB: text, LITTORAL: text });

export const cases = [
  { name: "withSession: class", run: (db) => db.withSession().constructor.name },
  {
    name: "withSession: members",
    run: (db) => {
      const s = db.withSession();
      return ["prepare", "batch", "getBookmark", "exec", "dump", "withSession"].map((m) => typeof s[m]);
    },
  },
  { name: "getBookmark: null before any call", run: (db) => db.withSession().getBookmark() },
  { name: "getBookmark: null for first-primary", run: (db) => db.withSession("first-primary").getBookmark() },
  { name: "getBookmark: null for first-unconstrained", run: (db) => db.withSession("first-unconstrained").getBookmark() },
  {
    name: "getBookmark: what was given",
    run: (db) => db.withSession("00000001-00000002-00000003-0123456789abcdef0123456789abcdef").getBookmark(),
  },
  {
    name: "getBookmark: what was given, trimmed",
    run: (db) => db.withSession("  00000000-00000000-00000000-00000000000000000000000000000000 ").getBookmark(),
  },
  { name: "withSession: empty", run: (db) => db.withSession("").getBookmark() },
  { name: "withSession: blank", run: (db) => db.withSession("  ").getBookmark() },
  { name: "withSession: null", run: (db) => db.withSession(null).getBookmark() },
  { name: "withSession: a number", run: (db) => db.withSession(5) },
  { name: "a read brings a bookmark", run: (db) => afterRead(db.withSession()) },
  { name: "a read after first-primary", run: (db) => afterRead(db.withSession("first-primary")) },
  { name: "a read after first-unconstrained", run: (db) => afterRead(db.withSession("first-unconstrained")) },
  { name: "a constraint with blanks", run: (db) => afterRead(db.withSession(" first-primary ")) },
  { name: "an old bookmark", run: (db) => afterRead(db.withSession("00000000-00000000-00000000-00000000000000000000000000000000")) },
  {
    name: "a session from a bookmark of another",
    run: async (db) => {
      const s = db.withSession();
      await s.prepare("SELECT 1").all();
      return afterRead(db.withSession(s.getBookmark()));
    },
  },
  // Local D1 notes its bookmarks in the database, which shows in last_row_id: left out here.
  { name: "all", run: async (db) => (await db.withSession().prepare("SELECT * FROM t").all()).results },
  { name: "run", run: (db) => db.withSession().prepare("INSERT INTO t VALUES(2,'b')").run() },
  { name: "raw", run: (db) => db.withSession().prepare("SELECT * FROM t ORDER BY id").raw({ columnNames: true }) },
  { name: "first", run: (db) => db.withSession().prepare("SELECT v FROM t WHERE id=?").bind(2).first("v") },
  {
    name: "batch",
    run: async (db) => {
      const s = db.withSession();
      const r = await s.batch([s.prepare("SELECT ? AS a").bind(1), s.prepare("SELECT 2 AS b")]);
      return [r, shape(s.getBookmark())];
    },
  },
  {
    name: "own writes are read",
    run: async (db) => {
      const s = db.withSession();
      await s.prepare("INSERT INTO t VALUES(3,'c')").run();
      return s.prepare("SELECT v FROM t WHERE id=3").first("v");
    },
  },
  {
    name: "bookmarks do not go back",
    run: async (db) => {
      const s = db.withSession();
      const seen = [];
      for (let i = 10; i < 14; i++) {
        await s.prepare("INSERT INTO t(id) VALUES(?)").bind(i).run();
        seen.push(s.getBookmark());
      }
      return seen.every((b, i) => i === 0 || seen[i - 1].localeCompare(b) <= 0);
    },
  },
  {
    name: "each write moves the bookmark",
    run: async (db) => {
      const s = db.withSession();
      const seen = new Set();
      for (let i = 20; i < 24; i++) {
        await s.prepare("INSERT INTO t(id) VALUES(?)").bind(i).run();
        seen.add(s.getBookmark());
      }
      return seen.size;
    },
  },
  {
    name: "a read does not move the bookmark",
    run: async (db) => {
      const s = db.withSession();
      await s.prepare("SELECT 1").run();
      const b = s.getBookmark();
      await s.prepare("SELECT 1").run();
      return b === s.getBookmark();
    },
    differs: ours("A bookmark names a committed state, so reads do not move it. Local D1's moves with every call."),
  },
  {
    name: "an error leaves the bookmark",
    run: async (db) => {
      const s = db.withSession();
      try {
        await s.prepare("SELEC").run();
      } catch {}
      return s.getBookmark();
    },
  },
  { name: "an error in a session", run: (db) => db.withSession().prepare("SELEC").run() },
  {
    name: "two sessions have their own bookmarks",
    run: async (db) => {
      const a = db.withSession();
      const b = db.withSession();
      await a.prepare("SELECT 1").run();
      return [shape(a.getBookmark()), b.getBookmark()];
    },
  },
  {
    name: "statements at once",
    run: async (db) => {
      const s = db.withSession();
      return Promise.all([1, 2, 3].map((i) => s.prepare("SELECT ? AS a").bind(i).first("a")));
    },
  },
  {
    name: "a text that is no bookmark",
    run: (db) => afterRead(db.withSession("what?")),
    differs: ours("A bookmark is checked. Local D1 takes any text for one."),
  },
  {
    name: "a bookmark of the future",
    run: (db) => afterRead(db.withSession("ffffffff-ffffffff-ffffffff-ffffffffffffffffffffffffffffffff")),
    differs: ours("A bookmark from the future is refused, since no state can satisfy it. Local D1 takes any text for one."),
  },
];
