-- examples/private.lua: a feed for those who know the token, and no log line that shows it.

local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local page = require "spec.support.page"
local server = require "spec.support.server"

local example = "examples/private.lua"
local token, wrong = "open-sesame+42", "guessed-token"
local in_query = "open-sesame%2B42"

local function bearer(value)
  return { Authorization = "Bearer " .. value }
end

describe("examples/private.lua", function()
  after_each(server.stop_all)

  local function start(text)
    local options = { env = { FEED_TOKEN = token }, args = { "--log-level", "debug" } }
    return text and server.start(text, options) or server.start_file(example, options)
  end

  local function status(router, path, headers)
    return http.get(router.port, path, headers).status
  end

  --- Ends the server, so that all its lines are there, and looks for tokens in them.
  local function assert_silent(router)
    router:stop()
    local said = router:log() .. router:output()
    for _, secret in ipairs { token, in_query, wrong } do
      assert.is_nil(said:find(secret, 1, true), said)
    end
    return said
  end

  it("lets those listen who know the token", function()
    local router = start()
    local session = page.start("wire.mjs", { url = router.url .. "/#/events?token=" .. in_query, count = 3 })
    local node = page.start("node_events.mjs", {
      url = router.url .. "/events", headers = bearer(token), names = { "secret" },
    })
    local watcher = curl.start { "-H", "Authorization: Bearer " .. token, router.url .. "/events" }
    local by_query = eventsource.open(router.port, "/events?token=" .. in_query)
    local by_header = eventsource.open(router.port, "/events", { headers = bearer(token) })
    local data, event = by_query:next_json()
    assert.equal("secret", event.event)
    assert.number(data.number)
    assert.same(event, by_header:next())
    watcher:wait_line("stdout", "^event: secret$")
    node:wait_report "open"
    assert.equal("secret", node:finish().events[1].event)
    local shown = session:finish()
    assert.equal("Live", shown.state)
    assert.matches("event: secret\ndata: {", shown.frames[3])
    assert_silent(router)
  end)

  it("refuses all others", function()
    local router = start()
    local none = http.get(router.port, "/events")
    assert.equal(401, none.status)
    assert.equal("Bearer", none.headers["www-authenticate"])
    assert.equal(401, status(router, "/events?token="))
    assert.equal(401, status(router, "/events?key=" .. in_query))
    assert.equal(401, status(router, "/events", { Authorization = "Basic " .. token }))
    assert.equal(401, status(router, "/events", { Cookie = "token=" .. token }))
    for _, guess in ipairs { wrong, token .. "x", token:sub(1, -2), token:upper(), "letmein", "x" } do
      assert.equal(403, status(router, "/events", bearer(guess)), guess)
      local answer = http.get(router.port, "/events?token=" .. guess:gsub("%+", "%%2B"))
      assert.equal(403, answer.status, guess)
      assert.is_nil(answer.body:find(guess, 1, true))
    end
    -- A wrong header is not mended by a good query.
    assert.equal(403, status(router, "/events?token=" .. in_query, bearer(wrong)))
    assert.equal("status 401", eventsource.open(router.port, "/events"):wait_closed())
    assert.equal("status 403", eventsource.open(router.port, "/events?token=" .. wrong):wait_closed())
    assert_silent(router)
  end)

  it("shows the token in no log line, whatever goes wrong", function()
    local router = start(files.read(example) .. [[
      sse.get("/broken", sse.auth.token { secret = secret }, function(req)
        sse.log.info("asked for %s", req.path)
        error "on purpose"
      end)
    ]])
    local query = "?token=" .. in_query
    assert.equal(500, status(router, "/broken" .. query))
    assert.equal(500, status(router, "/broken", bearer(token)))
    assert.equal(403, status(router, "/broken?token=" .. wrong))
    assert.equal(404, status(router, "/nowhere" .. query))
    assert.equal(405, http.post(router.port, "/events" .. query, "").status)
    assert.equal(400, status(router, "/events" .. query, { ["Bad Header"] = token }))
    assert.equal(431, status(router, "/events" .. query .. ("x"):rep(20000)))
    local said = assert_silent(router)
    assert.matches("on purpose", said)
  end)

  it("warns when nobody has chosen a token", function()
    local router = server.start_file(example, { env = { FEED_TOKEN = false } })
    router:wait_log "FEED_TOKEN is not set"
    eventsource.open(router.port, "/events?token=letmein"):wait_open()
  end)
end)
