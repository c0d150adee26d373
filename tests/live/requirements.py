"""What a live feed and its cache must do."""

REQUIREMENTS: dict[str, str] = {
    "live:halts": "A snapshot names the symbols whose trading was stopped as it was known at its time.",
    "live:single-flight": "Equal questions at once, from any thread or process, are one vendor call and one answer.",
    "live:ranges": "What was fetched is not fetched again, in whatever order and overlap ranges are asked for.",
    "live:persistent": "What the vendor said survives a restart, and a second feed on the same file is refused.",
    "live:busy": "A vendor that asks to be left alone is left alone; who asks waits or is told until when.",
    "live:failed": "A failed vendor call is told to all who waited for it and is not remembered.",
    "live:tail": "What is not complete yet is never remembered as missing; a stretch that is over is.",
    "live:malformed": "A record that cannot be used is counted and left out; the others are served.",
    "live:versions": "Late, repeated and corrected records give the same answer about a past time as was given then.",
    "live:skew": "A record from the future waits for our clock, and the vendor's skew is told.",
    "live:look-ahead": "Nothing is served that was not known at the time asked about, which is never after the clock.",
    "live:advance": "Instants are cut once: asked again or restarted, it gives the same bytes and skips no index.",
    "live:deferred": "A vendor that does not answer holds up nobody who does not need it.",
    "live:outage": "An outage of the stream is counted, told, and its hole is filled when the connection is back.",
    "live:silent": "A stream that is silent while connected is noticed and told.",
    "live:publish": "Ticks and charts are published at a bounded rate, and no reader slows the feed.",
    "live:charts": "Charts of a live market are the vendor's history and the stream, as known at the time asked about.",
    "live:polling": "A vendor without a stream is asked for what is new while somebody waits for it.",
    "live:folder": "A folder of CSV or Parquet files is a source; broken rows are counted with what is wrong.",
    "live:bench": "A tenth of an agent day from several processes spares most vendor calls; equal questions are one.",
}
