-- Clients that send rubbish, half requests and too many at once, that reset connections in the middle of everything,
-- while the script is busy now and then: the router lives, and who behaves gets every event.

local seed = require "spec.support.seed"
local uv = require "luv"
local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local CONNECTIONS, AT_ONCE = 1000, 40

local SCRIPT = [[
local sse = require "sse"
local news = sse.channel("news", { history = 10000 })
local short = sse.channel("short", { history = 5, on_lag = "skip" })
local n, running = 0, 0
sse.cors { origins = function() return true end }
sse.get("/news", news)
sse.get("/both", function() return sse.subscribe { news, short, heartbeat = "10ms", history = 50 } end)
sse.get("/own", function() return sse.stream(function(client)
  running = running + 1
  local _ <close> = sse.defer(function() running = running - 1 end)
  for step = 1, math.huge do
    client:send { data = ("x"):rep(step * 37 % 5000) }
    if step % 3 == 0 then sse.sleep(0.5) end
  end
end, { heartbeat = "10ms" }) end)
sse.get("/large", function() return ("0123456789"):rep(100000) end)
sse.get("/slow", function() sse.sleep(0.01) return "slow" end)
sse.get("/busy", function() local from = os.clock() while os.clock() - from < 0.03 do end return 204 end)
sse.get("/fails", function() sse.sleep(0) error "no luck" end)
sse.any("/any", function(req) return tostring(#req.body) end)
sse.post("/news", function()
  n = n + 1
  news:publish { id = n, data = ("y"):rep(n % 2000) }
  short:publish { data = n }
  return { last = n }
end)
sse.get("/running", function() return { running = running } end)
]]

local STREAMS = { "/news", "/both", "/own", "/news?last_event_id=earliest", "/both?last_event_id=last=20" }
local OTHERS = { "/large", "/slow", "/busy", "/fails", "/any", "/nothing", "/running", "*", "/%zz" }
local METHODS = { "GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "PUT" }
local NOISE = { "\r", "\n", "\0", " ", ":", ";", ",", "\xff", "0", "a", "\r\n", "HTTP/1.1" }

local function any(list)
  return list[math.random(#list)]
end

local function request()
  local method, path = any(METHODS), any(math.random(3) == 1 and STREAMS or OTHERS)
  local headers = { Origin = math.random(4) == 1 and "https://a.example" or nil }
  local body = method ~= "GET" and ("b"):rep(math.random(0, 2000)) or nil
  if body and math.random(2) == 1 then
    headers["Transfer-Encoding"] = "chunked"
    body = ("%x\r\n%s\r\n0\r\n\r\n"):format(#body + 1, body .. "c")
  end
  return http.format_request(method, path, headers, body)
end

local function spoil(bytes)
  for _ = 1, math.random(4) do
    local at = math.random(#bytes)
    bytes = bytes:sub(1, at - 1) .. (math.random(3) == 1 and "" or any(NOISE)) .. bytes:sub(at + math.random(0, 3))
  end
  return bytes
end

local kinds = {
  function() return spoil(request()) end,
  function() return request():sub(1, -math.random(2, 40)) end,
  function() return request():rep(math.random(1, 20)) end,
  function() return request() .. spoil(request()) .. request() end,
  function() return http.format_request("GET", any(STREAMS)) end,
  function() return http.format_request("GET", any(STREAMS)):gsub("HTTP/1.1", "HTTP/1.0") end,
}

local function attack(router)
  local connection = http.connect(router.port, { receive_buffer = any { 2048, 65536 }, paused = math.random(3) == 1 })
  connection:send((any(kinds)()))
  return connection
end

local function leave(connection)
  if math.random(2) == 1 then
    connection:reset()
  else
    connection:close()
  end
end

--- Many go at the same moment, which the router cannot see at once: its script is busy.
local function leave_together(router, there)
  local busy = http.connect(router.port)
  busy:request("GET", "/busy")
  busy:flush()
  for _ = 1, math.min(#there, 20) do
    table.remove(there, math.random(#there)):reset()
  end
  busy:receive_response { seconds = 20 }
  busy:close()
end

local function running(router)
  return http.get(router.port, "/running"):json().running
end

describe("a router among hostile clients", function()
  after_each(server.stop_all)

  for _, threads in ipairs { 0, 2 } do
    it(("serves those that behave, with %d threads"):format(threads), function()
      seed("hostile", threads)
      local router = server.start(SCRIPT, { threads = threads, args = { "--stall-timeout", "500ms" } })
      local last = 0
      local reader = eventsource.open(router.port, "/news", { reconnect = false, on_event = function(event)
        assert(tonumber(event.id) == last + 1, event.id .. " after " .. last)
        last = last + 1
      end }):wait_open()
      local publisher = http.connect(router.port)
      local there, published = {}, 0
      for _ = 1, CONNECTIONS do
        table.insert(there, attack(router))
        if #there > AT_ONCE then
          leave(table.remove(there, math.random(#there)))
        end
        if math.random(5) == 1 then
          publisher:request("POST", "/news", nil, "")
          published = publisher:receive_response({ seconds = 20 }):json().last
        end
        if math.random(25) == 1 then
          leave_together(router, there)
        end
        uv.run "nowait"
      end
      for _, connection in ipairs(there) do
        leave(connection)
      end
      -- Some of the hostile requests are publications, too, and the last of them can come after the publisher's last.
      loop.wait_until(function() return last >= published end, 20, "every event")
      assert.equal("open", reader:state())
      local deadline = loop.now() + loop.limit()
      while running(router) > 0 do
        assert.is_true(loop.now() < deadline, "streams of clients that have gone go on")
      end
    end)
  end
end)
