-- The oracle itself: each clause of the HTML standard's section 9.2.6, and every way to split the bytes.

local event_stream = require "spec.support.event_stream"
local utf8_decode = require "spec.support.utf8_decode"

--- What the parser makes of these portions.
local function interpret(portions, last_event_id)
  local seen = { events = {}, comments = {}, retries = {} }
  local parser = event_stream.new({
    on_event = function(_, event)
      table.insert(seen.events, event)
    end,
    on_comment = function(_, text)
      table.insert(seen.comments, text)
    end,
    on_retry = function(_, milliseconds)
      table.insert(seen.retries, milliseconds)
    end,
  }, last_event_id)
  for _, portion in ipairs(portions) do
    parser:feed(portion)
  end
  seen.before_end = parser.last_event_id
  parser:finish()
  seen.id = parser.last_event_id
  seen.retry = parser.reconnection_time
  seen.invalid = parser.invalid_utf8
  return seen
end

local function event(data, id, name)
  return { event = name or "message", data = data, id = id or "" }
end

-- Each case: what it shows, the bytes, the events, and what else is worth a look.
local cases = {
  { "one event", "data: hello\n\n", { event "hello" } },
  { "lines end with CR", "data: a\r\rdata: b\r\r", { event "a", event "b" } },
  { "lines end with CR LF", "data: a\r\n\r\ndata: b\r\n\r\n", { event "a", event "b" } },
  { "line ends mix", "data: a\rdata: b\ndata: c\r\n\r\n", { event "a\nb\nc" } },
  { "LF CR is two line ends", "data: a\n\rdata: b\n\n", { event "a", event "b" } },
  { "CR LF LF is two line ends", "data: a\r\n\ndata: b\n\n", { event "a", event "b" } },
  { "a byte order mark is dropped", "\xEF\xBB\xBFdata: a\n\n", { event "a" } },
  { "only one byte order mark is", "\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n", {} },
  { "a byte order mark elsewhere is text", "data: \xEF\xBB\xBFa\n\n", { event "\xEF\xBB\xBFa" } },
  { "half a byte order mark is none", "\xEF\xBBdata: a\n\ndata: b\n\n", { event "b" }, invalid = 1 },
  { "a comment", ":\n: heartbeat\n:x\ndata: a\n\n", { event "a" }, comments = { "", " heartbeat", "x" } },
  { "a comment is no event", ": nothing\n\n", {}, comments = { " nothing" } },
  { "a comment does not part an event", "data: a\n:-\ndata: b\n\n", { event "a\nb" }, comments = { "-" } },
  { "a field without colon has an empty value", "data\n\ndata\ndata\n\n", { event "", event "\n" } },
  { "data with an empty value is an event", "data:\n\ndata: \n\n", { event "", event "" } },
  { "no data is no event", "event: x\n\ndata: a\n\n", { event "a" } },
  { "one space is dropped, no more", "data:  a \n\ndata:\tb\n\n", { event " a ", event "\tb" } },
  { "only the first colon parts", "data: a: b:c\n\ndata::\n\n", { event "a: b:c", event ":" } },
  { "an event's name", "event: add\ndata: 1\n\ndata: 2\n\n", { event("1", "", "add"), event "2" } },
  { "the last name counts", "event: a\nevent: b\ndata: 1\n\n", { event("1", "", "b") } },
  { "an empty name is message", "event: a\nevent\ndata: 1\n\n", { event "1" } },
  { "names of fields have their case", "Data: a\nDATA: b\ndata: c\n\n", { event "c" } },
  { "names of fields have no spaces", " data: a\ndata : b\ndata: c\n\n", { event "c" } },
  { "unknown fields are ignored", "foo: bar\ndata: a\ndatas: b\nx\n\n", { event "a" } },
  { "an id stays", "id: 1\ndata: a\n\ndata: b\n\n", { event("a", "1"), event("b", "1") }, id = "1" },
  { "an empty id resets", "id: 1\ndata: a\n\nid\ndata: b\n\n", { event("a", "1"), event "b" }, id = "" },
  { "an id with NUL is ignored", "id: 1\nid: 2\0\ndata: a\n\n", { event("a", "1") }, id = "1" },
  { "an id without data counts", "id: 7\n\ndata: a\n\n", { event("a", "7") }, id = "7" },
  { "an id counts when its event ends", "id: 7\ndata: a\n", {}, id = "" },
  { "the last id counts", "id: 1\nid: 2\ndata: a\n\n", { event("a", "2") }, id = "2" },
  { "an id keeps inner spaces", "id:  a b \ndata: x\n\n", { event("x", " a b ") }, id = " a b " },
  { "retry takes digits", "retry: 3000\n\n", {}, retries = { 3000 }, retry = 3000 },
  { "retry takes nothing else", "retry: 1s\nretry: -1\nretry: 1.5\nretry: +1\nretry:  1\nretry: 0x1\n\n", {} },
  { "an empty retry is ignored", "retry: 10\nretry\nretry:\n\n", {}, retries = { 10 }, retry = 10 },
  { "retry counts at once", "retry: 5\n", {}, retries = { 5 }, retry = 5 },
  { "the end discards an event", "data: a\n\ndata: b\n", { event "a" } },
  { "the end discards a line", "data: a\n\ndata: b", { event "a" } },
  { "empty lines alone are nothing", "\n\n\r\r\r\n\r\n", {} },
  { "no bytes are nothing", "", {} },
  { "NUL in data is data", "data: a\0b\n\n", { event "a\0b" } },
  { "UTF-8", "data: \u{20AC}\u{1F600}\nid: \u{E9}\n\n", { event("\u{20AC}\u{1F600}", "\u{E9}") }, id = "\u{E9}" },
  { "bad UTF-8 is replaced", "data: a\xFFb\n\n", { event "a\u{FFFD}b" }, invalid = 1 },
  { "UTF-8 cut by a line end is replaced", "data: \xE2\x82\n\n", { event "\u{FFFD}" }, invalid = 1 },
  {
    "the standard's example of empty data",
    "data\n\ndata\ndata\n\ndata:",
    { event "", event "\n" },
  },
  {
    "the standard's example of ids",
    ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
    { event("first event", "1"), event "second event", event " third event" },
    comments = { " test stream" },
    id = "",
  },
}

local function check(case, portions)
  local seen = interpret(portions)
  assert.same(case[3], seen.events)
  assert.same(case.comments or {}, seen.comments)
  assert.same(case.retries or {}, seen.retries)
  assert.equal(case.retry, seen.retry)
  assert.equal(case.invalid or 0, seen.invalid)
  if case.id then
    assert.equal(case.id, seen.id)
    assert.equal(case.id, seen.before_end)
  end
end

local function characters(bytes)
  local list = {}
  for at = 1, #bytes do
    list[at] = bytes:sub(at, at)
  end
  return list
end

describe("the event-stream parser", function()
  for _, case in ipairs(cases) do
    it("follows the standard: " .. case[1], function()
      check(case, { case[2] })
    end)
  end

  it("gives the same for every split in two and in single bytes", function()
    for _, case in ipairs(cases) do
      local bytes = case[2]
      for at = 0, #bytes do
        check(case, { bytes:sub(1, at), "", bytes:sub(at + 1) })
      end
      check(case, characters(bytes))
    end
  end)

  it("dispatches at a CR without waiting for what follows", function()
    assert.same({ event "a" }, interpret({ "data: a\r\r" }).events)
    assert.same({ event "a", event "b" }, interpret({ "data: a\r\n\r", "\ndata: b\n\n" }).events)
  end)

  it("carries the id of the connection before", function()
    local seen = interpret({ "data: a\n\nid: 9\ndata: b\n\n" }, "8")
    assert.same({ event("a", "8"), event("b", "9") }, seen.events)
    assert.equal("8", interpret({ "id: 9\ndata: a\n" }, "8").id)
  end)

  it("takes a mebibyte of short lines in reasonable time", function()
    local line = "data: x\n"
    local seen = interpret { line:rep(2 ^ 17) .. "\n" }
    assert.equal(2 ^ 18 - 1, #seen.events[1].data)
  end)
end)

describe("UTF-8 decoding", function()
  local replaced = "\u{FFFD}"
  local samples = {
    { "abc", "abc" },
    { "\x80", replaced },
    { "\xC0\xAF", replaced:rep(2) },
    { "\xC3", replaced },
    { "\xC3(", replaced .. "(" },
    { "\xE0\x80\xAF", replaced:rep(3) },
    { "\xED\xA0\x80", replaced:rep(3) },
    { "\xE1\x80\xE2\xF0\x91\x92\xF1\xBFA", replaced:rep(4) .. "A" },
    { "\xF0\x80\x80\xAF", replaced:rep(4) },
    { "\xF4\x90\x80\x80", replaced:rep(4) },
    { "\xF5\x80", replaced:rep(2) },
    { "\xF0\x9F\x98\x80\xFF", "\u{1F600}" .. replaced },
  }

  it("replaces each maximal part as the Encoding standard does", function()
    for _, sample in ipairs(samples) do
      local text, valid = utf8_decode.decode(sample[1])
      assert.equal(sample[2], text)
      assert.equal(sample[1] == sample[2], valid)
    end
  end)
end)
