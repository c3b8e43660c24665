-- examples/facts.lua: all facts so far as one JSON array, then each new one; and its page.

local json = require "cjson"
local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local page = require "spec.support.page"
local proxy = require "spec.support.proxy"
local server = require "spec.support.server"

local example = "examples/facts.lua"
local honey = { fact = "Honey never spoils.", source = "a beekeeper" }
local comet = { fact = "A comet's \"tail\"\npoints away \u{2603}", source = "https://sky.example/?a=1&b=2" }
local bees = { fact = "Bees dance.", source = "von Frisch" }

describe("examples/facts.lua", function()
  local router

  before_each(function()
    router = server.start_file(example)
  end)

  after_each(server.stop_all)

  local function post(fact)
    local answer = http.post(router.port, "/fact", fact)
    assert.equal(201, answer.status)
    return answer
  end

  --- A listener that has heard the facts so far, and these.
  local function listen(options)
    local listener = eventsource.open(router.port, "/events", options)
    return listener, (listener:next_json())
  end

  it("sends all facts so far as one array, then each new one", function()
    local first = eventsource.open(router.port, "/events")
    assert.same({ event = "message", data = "[]", id = "" }, first:next())
    assert.same(honey, post(honey):json())
    assert.same(honey, (first:next_json()))
    post(comet)
    assert.same(comet, (first:next_json()))
    local second, so_far = listen()
    assert.same({ honey, comet }, so_far)
    post(bees)
    assert.same(bees, (first:next_json()))
    assert.same(bees, (second:next_json()))
    assert.equal(0, first:pending() + second:pending())
  end)

  it("works with the curl lines in its head", function()
    local watcher = curl.start { router.url .. "/events" }
    watcher:wait_line("stdout", "^data: %[%]$")
    local posted = curl.run { "-d", json.encode(honey), router.url .. "/fact" }
    assert.same(honey, json.decode(posted.stdout))
    assert.same(honey, json.decode((watcher:wait_line("stdout", "^data: ({.*)"))))
  end)

  it("gives the npm package the same", function()
    local session = page.start("node_events.mjs", { url = router.url .. "/events", count = 2 })
    session:wait_report "open"
    post(honey)
    local events = session:finish().events
    assert.equal("[]", events[1].data)
    assert.same(honey, json.decode(events[2].data))
  end)

  it("gives a client that comes back only what it missed", function()
    local listener = listen()
    post(honey)
    listener:next()
    listener:drop()
    post(comet)
    post(bees)
    assert.same(comet, (listener:next_json()))
    local missed, event = listener:next_json()
    assert.same(bees, missed)
    assert.equal(2, listener.opened)
    local other = eventsource.open(router.port, "/events", { last_event_id = event.id })
    other:wait_open()
    post(honey)
    assert.same(honey, (other:next_json()))
  end)

  it("tells a client with an id that it does not know", function()
    local stranger = eventsource.open(router.port, "/events", { last_event_id = "elsewhere-7" })
    assert.equal("reset", stranger:next().event)
  end)

  it("counts its clients", function()
    local function wait_clients(count)
      local deadline = loop.now() + loop.limit()
      local status
      repeat
        status = http.get(router.port, "/status"):json()
      until status.clients == count or loop.now() > deadline
      assert.same({ clients = count }, status)
    end

    wait_clients(0)
    local one, two = listen(), listen()
    wait_clients(2)
    one:close()
    wait_clients(1)
    two:close()
    wait_clients(0)
  end)

  it("refuses what is no fact, and keeps nothing of it", function()
    local long = ("x"):rep(501)
    for _, body in ipairs {
      "", "{", "[]", "3", "null", '"fact"', "{}", '{"fact":"a"}', '{"fact":" ","source":"b"}',
      '{"fact":1,"source":"b"}', '{"fact":["a"],"source":{}}', '{"fact":"a\xFF","source":"b"}',
      ('{"fact":"%s","source":"b"}'):format(long), ('{"fact":"a","source":"%s"}'):format(long),
    } do
      local answer = http.post(router.port, "/fact", body)
      assert.equal(400, answer.status, body)
      assert.string(answer:json().error)
    end
    assert.equal("[]", eventsource.open(router.port, "/events"):next().data)
  end)

  it("lets other sites listen and post", function()
    local from = { Origin = "http://elsewhere.example" }
    assert.equal("*", http.get(router.port, "/status", from).headers["access-control-allow-origin"])
    local posted = http.post(router.port, "/fact", honey, from)
    assert.equal("*", posted.headers["access-control-allow-origin"])
    local asked = http.request(router.port, "OPTIONS", "/fact", {
      Origin = from.Origin,
      ["Access-Control-Request-Method"] = "POST",
      ["Access-Control-Request-Headers"] = "content-type",
    })
    assert.equal(204, asked.status)
    assert.equal("*", asked.headers["access-control-allow-origin"])
    assert.matches("POST", asked.headers["access-control-allow-methods"])
    assert.matches("content%-type", asked.headers["access-control-allow-headers"]:lower())
    local result = page.browser_events {
      url = router.url .. "/events",
      page = ("http://localhost:%d/blank-page-of-the-spec"):format(router.port),
    }
    assert.same({ honey }, json.decode(result.events[1].data))
  end)

  it("has a page that is live, also after the server was started again", function()
    local wire = proxy.start(router.port)
    local session = page.start("facts.mjs", ("http://127.0.0.1:%d/"):format(wire.port))
    local listener = listen()
    assert.equal("No facts yet. Post the first one.", session:wait_report "live")
    assert.matches("^Not posted: fact and source must", session:wait_report "refused")
    assert.same({ { "Bees dance.", "bees.example/dance" } }, session:wait_report "posted")
    assert.same({ fact = "Bees dance.", source = "https://bees.example/dance" }, (listener:next_json()))
    post { fact = "<b>From</b> & outside", source = "<script>a terminal" }
    assert.same({
      { "<b>From</b> & outside", "<script>a terminal" },
      { "Bees dance.", "bees.example/dance" },
    }, session:wait_report "from outside")

    router:stop()
    session:wait_report "lost"
    router = server.start_file(example)
    post(honey)
    wire:retarget(router.port)
    assert.same({ { honey.fact, honey.source } }, session:finish())
  end)
end)
