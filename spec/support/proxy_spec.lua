-- The proxy's wire faults, seen from both of its ends.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local proxy = require "spec.support.proxy"
local server = require "spec.support.server"
local toy_server = require "spec.support.toy_server"

describe("the proxy", function()
  local toy

  before_each(function()
    toy = toy_server.start(function(connection, head)
      connection:respond("200 OK", head .. ("x"):rep(1000))
    end)
  end)

  after_each(server.stop_all)

  local function wait_for(field, count)
    loop.wait_until(function()
      return toy[field] == count
    end, nil, field)
  end

  it("forwards both ways, and both ends", function()
    local wire = proxy.start(toy.port)
    local connection = http.connect(wire.port)
    connection:request("GET", "/a")
    assert.matches("^GET /a", connection:receive_response().body)
    assert.equal(#toy.connections[1].received, wire.bytes.up)
    assert.equal(connection.received, wire.bytes.down)
    assert.equal(1, wire.live)
    connection:close()
    wait_for("ended", 1)
    assert.same({}, toy.problems)
    loop.wait_until(function()
      return wire.live == 0
    end, nil, "the proxy to close its side")
  end)

  it("forwards the server's end", function()
    toy.handler = function(connection)
      connection:respond("200 OK", "bye")
      connection:finish()
    end
    local connection = http.connect(proxy.start(toy.port).port)
    connection:request("GET", "/")
    assert.equal("bye", connection:receive_response().body)
    assert.equal("end", connection:wait_closed())
  end)

  it("cuts after exactly so many bytes to the client", function()
    for _, count in ipairs { 0, 1, 17, 1000 } do
      local connection = http.connect(proxy.start(toy.port, { cut_down = count }).port)
      connection:request("GET", "/")
      assert.equal("end", connection:wait_closed())
      assert.equal(count, connection.received)
    end
  end)

  it("cuts with RST, after bytes to the server, and each connection in its own way", function()
    local wire = proxy.start(toy.port, function(number)
      return number == 1 and { cut_up = 5, reset = true } or {}
    end)
    local connection = http.connect(wire.port)
    connection:request("GET", "/")
    assert.equal("ECONNRESET", connection:wait_closed())
    wait_for("ended", 1)
    assert.equal("GET /", toy.connections[1].received)
    assert.equal(200, http.get(wire.port, "/").status)
  end)

  it("is half-open while frozen, and loses nothing", function()
    local wire = proxy.start(toy.port)
    local connection = http.connect(wire.port)
    connection:request("GET", "/1")
    connection:receive_response()
    wire:freeze()
    connection:request("GET", "/2")
    toy.connections[1]:respond("200 OK", "from before")
    loop.holds(function()
      return not connection:closed() and connection:unread() == "" and toy.ended == 0
    end, 0.03, "silence on both sides")
    wire:thaw()
    assert.equal("from before", connection:receive_response().body)
    assert.matches("^GET /2", connection:receive_response().body)
  end)

  it("does not tell a frozen end of the other's leaving", function()
    local wire = proxy.start(toy.port)
    local connection = http.connect(wire.port)
    connection:request("GET", "/")
    connection:receive_response()
    wire:freeze()
    connection:close()
    loop.holds(function()
      return toy.ended == 0
    end, 0.03, "the server knows nothing")
    wire:thaw()
    wait_for("ended", 1)
  end)

  it("stalls for some time", function()
    local wire = proxy.start(toy.port)
    local before = loop.now()
    wire:stall(0.05)
    assert.equal(200, http.get(wire.port, "/").status)
    assert.is_true(loop.now() - before >= 0.045)
  end)

  it("forwards in portions of one byte", function()
    local wire = proxy.start(toy.port, { portion = 1 })
    toy.handler = function(connection)
      connection:open_stream()
      connection:chunk "id: 1\ndata: a\r\n\r\n: comment\n\nid: 2\ndata: \u{20AC}\n\n"
    end
    local client = eventsource.open(wire.port, "/")
    assert.same({ "a", "\u{20AC}" }, { client:next().data, client:next().data })
    assert.equal("2", client.last_event_id)
  end)

  it("gives the server a small window", function()
    toy.handler = function(connection)
      connection:respond("200 OK", ("x"):rep(2 ^ 23))
    end
    local wire = proxy.start(toy.port, { window = 2048 })
    local connection = http.connect(wire.port, { paused = true, receive_buffer = 2048 })
    connection:request("GET", "/")
    wait_for("accepted", 1)
    loop.holds(function()
      return wire.bytes.down < 2 ^ 22
    end, 0.05, "most of it stays with the server")
    wire:cut(true)
  end)

  it("refuses for a while, and finds a server's new port", function()
    local wire = proxy.start(toy.port)
    wire:refuse(true)
    local connection, problem = http.try_connect(wire.port)
    assert.equal("ECONNRESET", connection and connection:wait_closed() or problem)
    wire:refuse(false)
    toy:close()
    wire:retarget(toy_server.start(function(other)
      other:respond("200 OK", "new")
    end).port)
    assert.equal("new", http.get(wire.port, "/").body)
  end)

  it("resets the client when the server cannot be reached", function()
    local wire = proxy.start(toy.port)
    toy:close()
    assert.equal("ECONNRESET", http.connect(wire.port):wait_closed())
  end)

  it("cuts all at once", function()
    local wire = proxy.start(toy.port)
    local one, other = http.connect(wire.port), http.connect(wire.port)
    wait_for("accepted", 2)
    wire:cut(true)
    assert.equal("ECONNRESET", one:wait_closed())
    assert.equal("ECONNRESET", other:wait_closed())
    assert.equal(0, wire.live)
  end)

  it("lets a resuming client have each event once, wherever the wire is cut", function()
    local function events_after(id)
      local parts = {}
      for number = id + 1, 20 do
        parts[#parts + 1] = ("id: %d\ndata: event %d\n\n"):format(number, number)
      end
      return table.concat(parts)
    end
    toy.handler = function(connection, head)
      connection:open_stream()
      local rest = events_after(tonumber(head:match "Last%-Event%-ID: (%d+)") or 0)
      if rest ~= "" then
        connection:chunk(rest)
      end
    end
    local wire = proxy.start(toy.port, function(number)
      return { cut_down = 90 + number * 7 }
    end)
    local client = eventsource.open(wire.port, "/", { retry = 0.001 })
    for number, event in ipairs(client:take(20)) do
      assert.equal(tostring(number), event.id)
      assert.equal("event " .. number, event.data)
    end
    assert.is_true(client.opened > 3)
  end)
end)
