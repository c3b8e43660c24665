-- Where a stream starts and where it goes on: ids, history, the grammar of starting points.

local json = require "cjson"
local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local function open(router, query, id)
  return eventsource.open(router.port, "/stream?" .. query, { reconnect = false, last_event_id = id }):wait_open()
end

--- Publishes 1 to `count` over the channels in turn and gives the ids.
local function fill(router, channels, count, from)
  local names, events = {}, {}
  for name in channels:gmatch "[^,]+" do
    names[#names + 1] = name
  end
  for n = from or 1, (from or 1) + count - 1 do
    events[#events + 1] = { channel = names[n % #names + 1], data = { n = n } }
  end
  return feeds.publish(router, events)
end

--- What a stream has to say from its start up to an event that is published now.
local function numbers_until_now(router, reader, channel)
  feeds.publish(router, { { channel = channel or "a", event = "now", data = { n = -1 } } })
  local numbers, resets = {}, {}
  local event = reader:next()
  while event.event ~= "now" do
    if event.event == "reset" then
      resets[#resets + 1] = json.decode(event.data)
      assert.equal(0, #numbers, "a reset comes first")
    else
      numbers[#numbers + 1] = feeds.numbers({ event })[1]
    end
    event = reader:next()
  end
  return numbers, resets
end

describe("a stream that comes back", function()
  local router

  before_each(function()
    router = feeds.start [[
      sse.channel("small", { history = 10 })
      sse.channel("none", { history = 0 })
    ]]
  end)

  after_each(server.stop_all)

  it("goes on after its last id, over several channels", function()
    local ids = fill(router, "a,b,c", 60)
    for _, at in ipairs { 1, 2, 30, 59, 60 } do
      local numbers, resets = numbers_until_now(router, open(router, "channels=a,b,c", ids[at]))
      assert.same(feeds.range(at + 1, 60), numbers)
      assert.same({}, resets)
    end
  end)

  it("misses nothing when it had no event yet, either", function()
    fill(router, "a", 3)
    local cases = {
      ["channels=a"] = { 4, 5 },
      ["channels=a,none"] = { 4, 5 },
      ["channels=*"] = { 4, 5 },
      ["channels=a&start=latest"] = { 4, 5 },
      ["channels=a&step=2"] = { 4 },
    }
    for query, expected in pairs(cases) do
      local first = open(router, query)
      loop.wait_until(function()
        return first.last_event_id ~= ""
      end, nil, "an id from " .. query)
      first:close()
      assert.equal(0, first.received, "an id alone is no event")
      fill(router, "a", 2, 4)
      local back = open(router, query, first.last_event_id)
      assert.same(expected, feeds.numbers(back:take(#expected)), query)
    end
  end)

  it("is told its position where events will not tell it, and only there", function()
    local ids = fill(router, "a", 3)
    local cases = {
      { "channels=none" },
      { "channels=a", id = ids[2] },
      -- What is replayed brings ids; a position behind it would make it lost.
      { "channels=a&history=2" },
      { "channels=a&start=earliest" },
      { "channels=b&start=earliest", position = ids[3] },
      { "channels=b", id = "another life-1", position = ids[3] },
    }
    for _, case in ipairs(cases) do
      local connection = http.connect(router.port)
      connection:request("GET", "/stream?" .. case[1], case.id and { { "Last-Event-ID", case.id } })
      local opening = loop.wait_until(function()
        return connection:unread():match "\r\n\r\n%x+\r\n(:\n\n.-)\r\n"
      end, nil, "the beginning of " .. case[1])
      assert.equal(case.position, opening:match "\n\n: position\nid: ([^\n]*)\n\n$", case[1])
      connection:close()
    end
  end)

  it("goes on with another set of channels than it had", function()
    local ids = fill(router, "a,b", 20)
    local reader = open(router, "channels=b", ids[10])
    assert.same(feeds.range(11, 19, 2), numbers_until_now(router, reader, "b"))
    -- An id of a channel that the stream has not.
    reader = open(router, "channels=a,c,d", ids[11])
    assert.same(feeds.range(12, 20, 2), numbers_until_now(router, reader))
  end)

  it("may name its id in the query, and in the polyfills' way", function()
    local ids = fill(router, "a", 9)
    for _, key in ipairs { "last_event_id", "lastEventId" } do
      local reader = open(router, ("channels=a&%s=%s"):format(key, ids[4]))
      assert.same(feeds.range(5, 9), numbers_until_now(router, reader))
    end
    local reader = open(router, "channels=a&last_event_id=" .. ids[2], ids[7])
    assert.same(feeds.range(8, 9), numbers_until_now(router, reader), "the header goes before the query")
  end)

  it("goes on after an event that its filter or its names kept from it", function()
    local ids = fill(router, "a", 50)
    local reader = open(router, "channels=a&step=10", ids[13])
    assert.same({ 20, 30, 40, 50 }, feeds.numbers(reader:take(4)))
    reader = open(router, "channels=a&events=now", ids[13])
    assert.same({}, (numbers_until_now(router, reader)))
  end)

  it("has the retained log judged for a filter that is new, old, or comes again", function()
    local ids = fill(router, "a,b", 40)
    for _ = 1, 2 do
      local first = open(router, "channels=a,b&step=4", ids[10])
      assert.same(feeds.range(12, 40, 4), feeds.numbers(first:take(8)))
      local second = open(router, "channels=a,b&step=4&start=earliest")
      assert.same(feeds.range(4, 40, 4), feeds.numbers(second:take(10)))
      first:close()
      second:close()
      feeds.wait_subscribers(router, "a", 0)
      -- Another filter takes the place of the one before.
      local other = open(router, "channels=a,b&step=7", ids[1])
      assert.same(feeds.range(7, 40, 7), feeds.numbers(other:take(5)))
      other:close()
      feeds.wait_subscribers(router, "a", 0)
    end
  end)

  it("joins a filter's readers who began with the latest, and gets what is older", function()
    local ids = fill(router, "a", 10)
    local live = open(router, "channels=a&step=2")
    fill(router, "a", 10, 11)
    assert.same(feeds.range(12, 20, 2), feeds.numbers(live:take(5)))
    local back = open(router, "channels=a&step=2", ids[3])
    assert.same(feeds.range(4, 20, 2), feeds.numbers(back:take(9)))
  end)

  it("starts with the history asked for, over all its channels", function()
    fill(router, "a,b,c", 30)
    local reader = open(router, "channels=a,b,c&history=7")
    assert.same(feeds.range(24, 30), numbers_until_now(router, reader))
    reader = open(router, "channels=b&history=3")
    assert.same({ 22, 25, 28 }, numbers_until_now(router, reader, "b"))
    reader = open(router, "channels=a,b,c&step=10&history=2")
    assert.same({ 20, 30 }, feeds.numbers(reader:take(2)))
    reader = open(router, "channels=a&history=0")
    assert.same({}, (numbers_until_now(router, reader)))
  end)

  it("starts where the grammar says, in the header, the query and Lua", function()
    local ids = fill(router, "a", 30)
    local cases = {
      earliest = feeds.range(1, 30),
      latest = {},
      ["last=4"] = feeds.range(27, 30),
      ["last=0"] = {},
      ["last=1000"] = feeds.range(1, 30),
      ["since=1h"] = feeds.range(1, 30),
      ["since=0"] = {},
      [ids[20]] = feeds.range(21, 30),
    }
    for start, expected in pairs(cases) do
      local query = start:gsub("=", "%%3D")
      for _, reader in ipairs {
        open(router, "channels=a", start),
        open(router, "channels=a&last_event_id=" .. query),
        open(router, "channels=a&start=" .. query),
      } do
        feeds.publish(router, { { channel = "b", data = 1 } })
        local numbers, resets = {}, 0
        for _, event in ipairs(reader:take(#expected)) do
          numbers[#numbers + 1] = feeds.numbers({ event })[1]
          resets = resets + (event.event == "reset" and 1 or 0)
        end
        assert.same(expected, numbers, start)
        assert.equal(0, resets)
      end
    end
  end)

  it("is told first when the log has not what it needs, and gets what there is", function()
    local ids = fill(router, "small", 25)
    local numbers, resets = numbers_until_now(router, open(router, "channels=small", ids[5]), "small")
    assert.same(feeds.range(16, 25), numbers)
    assert.same({ { reason = "evicted", requested = ids[5], oldest = ids[16], latest = ids[25] } }, resets)
    -- The event before the oldest one is all that must have been seen.
    local reader = open(router, "channels=small", ids[16])
    numbers, resets = numbers_until_now(router, reader, "small")
    assert.same({}, resets)
    assert.same(feeds.range(17, 25), numbers)
  end)

  it("is told of ids of another life, from the future, and of no shape at all", function()
    local ids = fill(router, "a", 5)
    local epoch = ids[1]:match "^(.-)%-"
    local cases = {
      ["zzz-3"] = "epoch",
      [epoch .. "-4000"] = "unknown",
      [epoch .. "-x"] = "unknown",
      [epoch] = "unknown",
      ["42"] = "unknown",
      ["last=many"] = "unknown",
      ["since=1fortnight"] = "unknown",
      [("9"):rep(500)] = "unknown",
      [epoch .. "-99999999999999999999999"] = "unknown",
    }
    for id, reason in pairs(cases) do
      local reader = open(router, "channels=a", id)
      local info = json.decode(reader:next().data)
      assert.equal(reason, info.reason, id)
      assert.equal(id, info.requested)
      assert.equal(ids[1], info.oldest)
      assert.same(feeds.range(1, 5), feeds.numbers(reader:take(5)))
      reader:close()
    end
    local refused = http.get(router.port, "/stream?channels=a&last_event_id=last%3Dmany")
    assert.equal(400, refused.status)
    assert.matches("last=20", refused.body)
  end)

  it("is told of ids that are hard to quote", function()
    local ids = fill(router, "a", 2)
    for _, id in ipairs { [[say "x" \ / ]] .. "\u{E9}", "\xFF\xFEbytes", "a,b;c=d", "-", "0" } do
      local reader = open(router, "channels=a", id)
      local info = json.decode(reader:next().data)
      assert.equal("unknown", info.reason)
      assert.equal(id:find "\xFF" and "??bytes" or id, info.requested)
      assert.equal(ids[2], info.latest)
      reader:close()
    end
  end)

  it("gets no events that have become too old, however long others live", function()
    router:stop()
    router = feeds.start [[
      sse.channel("old", { max_age = "1h" })
      sse.channel("young", { max_age = "200ms" })
    ]]
    fill(router, "old", 1)
    fill(router, "young", 3, 2)
    local ids = fill(router, "old", 1, 5)
    local deadline, gone = loop.now() + loop.limit(3), 0
    while gone < 3 and loop.now() < deadline do
      gone = http.get(router.port, "/stats"):json().evicted_age
    end
    assert.equal(3, gone)
    local reader = open(router, "channels=old,young&start=earliest")
    assert.same({ 1, 5 }, feeds.numbers(reader:take(2)))
    reader = open(router, "channels=young", ids[1]:gsub("%d+$", "2"))
    assert.equal("evicted", json.decode(reader:next().data).reason)
  end)

  it("goes on by a script's own ids, of several channels too", function()
    local events = {}
    for n = 1, 20 do
      events[n] = { channel = n % 2 == 0 and "a" or "b", id = "own " .. n, data = { n = n } }
    end
    assert.equal("own 20", feeds.publish(router, events)[20])
    local reader = open(router, "channels=a,b", "own 13")
    local first = reader:next()
    assert.equal("own 14", first.id)
    assert.same(feeds.range(15, 20), feeds.numbers(reader:take(6)))
    -- The channel with that id is not part of this stream: nothing is known of it.
    reader = open(router, "channels=a", "own 13")
    assert.equal("unknown", json.decode(reader:next_named("reset").data).reason)
  end)

  it("goes on at the newest event of an id that was used twice", function()
    feeds.publish(router, {
      { channel = "a", id = "x", data = { n = 1 } },
      { channel = "a", id = "y", data = { n = 2 } },
      { channel = "a", id = "x", data = { n = 3 } },
      { channel = "a", data = { n = 4 } },
    })
    assert.same({ 4 }, feeds.numbers { open(router, "channels=a", "x"):next() })
  end)

  it("has no ids where nothing is kept, and begins with the latest", function()
    local live = open(router, "channels=none")
    fill(router, "none", 3)
    local events = live:take(3)
    assert.equal("", events[3].id)
    local reader = open(router, "channels=none&history=5")
    assert.same({}, (numbers_until_now(router, reader, "none")))
  end)

  it("gets nothing twice from a channel that keeps nothing beside one that does", function()
    local ids = fill(router, "a,none", 6)
    local reader = open(router, "channels=a,none", ids[2])
    local numbers, resets = numbers_until_now(router, reader, "none")
    assert.same({ 4, 6 }, numbers)
    assert.same({}, resets)
    -- Nor does what such a channel has dropped concern a reader that comes back.
    feeds.burst(router, "none", 1000)
    numbers, resets = numbers_until_now(router, open(router, "channels=a,none", ids[4]))
    assert.same({ 6 }, numbers)
    assert.same({}, resets)
  end)

  it("starts with the earliest events there are, also where others of its channels are gone", function()
    fill(router, "a", 5)
    fill(router, "small", 25, 6)
    local last = fill(router, "a", 5, 31)[5]
    local all = feeds.range(1, 5)
    for n = 21, 35 do
      all[#all + 1] = n
    end
    assert.same(all, (numbers_until_now(router, open(router, "channels=a,small&start=earliest"))))
    assert.same(all, (numbers_until_now(router, open(router, "channels=a,small", "no-id"))))
    assert.same({}, (numbers_until_now(router, open(router, "channels=small,a", last))))
    assert.same(feeds.range(21, 30), feeds.numbers(open(router, "channels=small&history=50"):take(10)))
  end)
end)

describe("a stream that is cut again and again", function()
  after_each(server.stop_all)

  it("misses nothing and gets nothing twice", function()
    local router = feeds.start [[ sse.channel("a", { history = 5000 }) sse.channel("b", { history = 5000 }) ]]
    local reader = eventsource.open(router.port, "/stream?channels=a,b", { reconnect_after = 0 }):wait_open()
    local seen = {}
    for round = 1, 40 do
      feeds.burst(router, "a,b", 50, (round - 1) * 50 + 1)
      for _, event in ipairs(reader:take(25)) do
        seen[#seen + 1] = event
      end
      reader:drop(round % 2 == 0)
    end
    for _, event in ipairs(reader:take(40 * 50 - #seen)) do
      seen[#seen + 1] = event
    end
    assert.same(feeds.range(1, 2000), feeds.numbers(seen))
  end)
end)
