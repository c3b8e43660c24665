-- Many connections, and bad ones: limits of their number, no descriptors left, clients that vanish or send
-- garbage. No one hears an answer other than 200 because the router is full: an EventSource would give up.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.http.support"

after_each(server.stop_all)

--- Opens connections and waits until each has had an answer.
local function open(where, count)
  local connections = {}
  for index = 1, count do
    local connection = http.connect(where)
    connection:request("GET", "/ok")
    assert.equal(200, connection:receive_response().status)
    connections[index] = connection
  end
  return connections
end

local function close(connections)
  for _, connection in ipairs(connections) do
    connection:close()
  end
end

--- Checks that a new connection is closed with not one byte.
local function expect_turned_away(where)
  local connection = http.connect(where)
  connection:request("GET", "/ok")
  connection:wait_closed()
  assert.equal(0, connection.received)
  connection:close()
end

--- Tries until a connection is taken.
local function wait_place(where)
  support.eventually("a place", function()
    local connection = http.connect(where)
    connection:request("GET", "/ok")
    loop.wait_until(function()
      return connection:closed() or connection.received > 0
    end)
    connection:close()
    return connection.received > 0
  end)
end

describe("the limit of connections", function()
  it("turns more away without an answer, and takes new ones when some leave", function()
    local router = support.start { args = { "--max-connections", "3" } }
    local connections = open(router.port, 3)
    for _ = 1, 5 do
      expect_turned_away(router.port)
    end
    for _, connection in ipairs(connections) do
      connection:request("GET", "/ok")
      assert.equal(200, connection:receive_response().status)
    end
    router:wait_log "warn  all 3 connections are taken"
    connections[1]:close()
    wait_place(router.port)
  end)

  it("lets an EventSource come back until there is a place", function()
    local router = support.start { args = { "--max-connections", "1" } }
    local connections = open(router.port, 1)
    local source = eventsource.open(router.port, "/news", { retry = 0.02 })
    source:wait_ending(3)
    assert.equal("connecting", source:state())
    close(connections)
    source:wait_open()
    assert.same({ 200 }, support.statuses_of(source.heads))
  end)

  it("is logged once, not for each", function()
    local router = support.start { args = { "--max-connections", "1" } }
    open(router.port, 1)
    for _ = 1, 50 do
      expect_turned_away(router.port)
    end
    local _, lines = router:log():gsub("warn", "")
    assert.equal(1, lines)
  end)

  it("per address leaves others alone", function()
    local path = support.tree {} .. "/socket"
    local router = support.start {
      listen = { "127.0.0.1:0", "[::1]:0", "unix:" .. path },
      args = { "--max-per-address", "2" },
    }
    local connections = open(router.port, 2)
    expect_turned_away(router.port)
    open(router.addresses[2], 2)
    expect_turned_away(router.addresses[2])
    open(router.addresses[3], 5)
    router:wait_log "warn  all 2 connections of 127.0.0.1 are taken"
    close(connections)
    wait_place(router.port)
  end)
end)

describe("a router without descriptors", function()
  it("lets new clients wait, serves the others, and recovers", function()
    local router = support.start { wrapper = { "prlimit", "--nofile=40" } }
    local source = eventsource.open(router.port, "/news"):wait_open()
    local connections = open(router.port, 10)
    local waiting = {}
    for index = 1, 40 do
      waiting[index] = http.connect(router.port)
    end
    router:wait_log "cannot accept connections"
    connections[1]:request("POST", "/news", nil, "still here")
    assert.equal(200, connections[1]:receive_response().status)
    assert.equal("still here", source:next().data)
    connections[1]:request("GET", "/files/script.lua")
    assert.equal(503, connections[1]:receive_response().status)
    for _, connection in ipairs(waiting) do
      assert.is_false(connection:closed())
      connection:request("GET", "/ok", { Connection = "close" })
    end
    close(connections)
    for _, connection in ipairs(waiting) do
      assert.equal(200, connection:receive_response().status)
      connection:close()
    end
    assert.equal(200, http.get(router.port, "/files/script.lua").status)
    local _, lines = router:log():gsub("cannot accept", "")
    assert.equal(1, lines)
  end)
end)

describe("clients that vanish", function()
  local function expect_all_gone(act, options)
    local router = support.start(options)
    local before = router:descriptors()
    act(router)
    support.expect_descriptors(router, before)
    assert.equal(200, http.get(router.port, "/ok").status)
  end

  it("amid a request leave nothing", function()
    expect_all_gone(function(router)
      for _, part in ipairs {
        "", "G", "GET /ok HTTP/1.1\r\n", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
      } do
        for _ = 1, 5 do
          local connection = http.connect(router.port)
          connection:send(part)
          assert.is_true(connection:flush())
          connection:reset()
        end
      end
    end)
  end)

  it("amid an answer leave nothing", function()
    expect_all_gone(function(router)
      for index = 1, 20 do
        local connection = http.connect(router.port, { receive_buffer = 4096 })
        connection:request("POST", "/echo", nil, ("x"):rep(1000000))
        connection:wait_bytes(1)
        if index % 2 == 0 then
          connection:reset()
        else
          connection:close()
        end
      end
    end)
  end)

  it("while the script thinks leave nothing", function()
    expect_all_gone(function(router)
      for index = 1, 20 do
        local connection = http.connect(router.port)
        connection:request("GET", "/slow?wait=100ms")
        if index % 2 == 0 then
          connection:request("GET", "/news")
        end
        assert.is_true(connection:flush())
        connection:reset()
      end
    end)
  end)

  it("amid a stream leave nothing", function()
    expect_all_gone(function(router)
      local swarm = eventsource.many(router.port, function(index)
        return index % 2 == 0 and "/news" or "/own"
      end, 100):wait_open_all()
      swarm:close_all(true)
      support.eventually("the subscribers to go", function()
        return http.post(router.port, "/news", "x"):json().subscribers == 0
      end)
    end)
  end)

  it("with their whole pipeline unanswered leave nothing", function()
    expect_all_gone(function(router)
      for _ = 1, 10 do
        local connection = http.connect(router.port, { paused = true, receive_buffer = 4096 })
        connection:send(http.format_request("POST", "/echo", nil, ("x"):rep(100000)):rep(20))
        connection:send(("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"):rep(100))
        loop.holds(function()
          return true
        end, 0.005, "the router has begun")
        connection:reset()
      end
    end)
  end)
end)

describe("garbage", function()
  local function random_bytes(length)
    local bytes = {}
    for index = 1, length do
      bytes[index] = string.char(math.random(0, 255))
    end
    return table.concat(bytes)
  end

  -- Bytes that get further into a parser than noise does.
  local PARTS = {
    "GET ", "POST ", "/ok", " HTTP/1.1", "\r\n", "\r\n\r\n", "Host: a", "Content-Length: ", "5", "-1", "chunked",
    "Transfer-Encoding: ", "\n", "\r", "\0", ":", " ", "\t", "0\r\n", "ffff\r\n", ";", "Expect: 100-continue", "\xff",
  }

  local function random_parts(count)
    local parts = {}
    for index = 1, count do
      parts[index] = PARTS[math.random(#PARTS)]
    end
    return table.concat(parts)
  end

  it("from 1000 connections leaves the router as it was", function()
    local seed = tonumber(os.getenv "SSE_ROUTER_SEED") or os.time()
    math.randomseed(seed)
    local router = support.start { threads = 2 }
    local before = router:descriptors()
    local source = eventsource.open(router.port, "/news"):wait_open()
    for index = 1, 1000 do
      local connection = assert(http.try_connect(router.port), "seed " .. seed)
      connection:send(index % 2 == 0 and random_bytes(math.random(1, 300)) or random_parts(math.random(1, 30)))
      local fate = math.random(3)
      if fate == 1 then
        connection:reset()
      elseif fate == 2 then
        connection:shutdown()
        loop.wait_until(function()
          return connection:closed()
        end, nil, "the router to close, seed " .. seed)
        connection:close()
      else
        connection:close()
      end
    end
    assert.equal(200, http.post(router.port, "/news", "alive").status, "seed " .. seed)
    assert.equal("alive", source:next().data)
    source:close()
    support.expect_descriptors(router, before)
    assert.equal("", (router:log():gsub("[^\n]* info [^\n]*\n", "")), "seed " .. seed)
  end)
end)
