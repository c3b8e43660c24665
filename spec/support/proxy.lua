-- A TCP proxy that breaks the wire between client and server on a spec's command. "up" is from the client
-- to the server, "down" from the server to the client.

local uv = require "luv"
local cleanup = require "spec.support.cleanup"
local loop = require "spec.support.loop"

local M = {}

---@class support.WireFaults what one connection suffers; all optional
---@field cut_down integer|nil end the connection after this many bytes to the client
---@field cut_up integer|nil the same to the server
---@field reset boolean|nil cut with RST instead of FIN
---@field portion integer|nil forward this many bytes at a time, each portion in a segment of its own
---@field window integer|nil bytes of receive buffer on the server's side, so that it sees a small window

---@class support.Proxy
---@field port integer connect here
---@field accepted integer connections so far
---@field live integer connections now
---@field bytes { up: integer, down: integer } forwarded in all
---@field faults support.WireFaults|fun(number: integer): support.WireFaults for connections to come
local Proxy = {}
Proxy.__index = Proxy

local largest_queue = 65536

local function close_link(link, reset)
  if link.closed then
    return
  end
  link.closed = true
  link.proxy.links[link] = nil
  link.proxy.live = link.proxy.live - 1
  for _, handle in ipairs { link.client, link.server } do
    if reset and not handle:is_closing() then
      handle:close_reset()
    else
      loop.close(handle)
    end
  end
end

--- One direction of a connection: bytes wait in `queue` until the other side has taken those before.
local function new_flow(link, direction, source, target)
  local faults = link.faults
  return {
    link = link,
    direction = direction,
    source = source,
    target = target,
    queue = "",
    left = direction == "down" and faults.cut_down or faults.cut_up,
    portion = faults.portion or largest_queue,
  }
end

local function update_reading(flow)
  local wanted = #flow.queue < largest_queue and not flow.link.proxy.frozen
  if wanted and not flow.reading and not flow.ended then
    flow.reading = true
    flow.source:read_start(flow.on_read)
  elseif not wanted and flow.reading then
    flow.reading = false
    flow.source:read_stop()
  end
end

--- Everything of this direction has been forwarded: the end goes on too.
local function forward_end(flow)
  local link = flow.link
  if not flow.shut then
    flow.shut = true
    flow.target:shutdown()
  end
  if link.up.shut and link.down.shut then
    close_link(link)
  end
end

local advance

local function write_portion(flow)
  local link = flow.link
  local portion = flow.queue:sub(1, math.min(flow.portion, flow.left or math.huge))
  flow.queue = flow.queue:sub(#portion + 1)
  flow.left = flow.left and flow.left - #portion
  flow.writing = true
  flow.target:write(portion, loop.protect(function(problem)
    flow.writing = false
    if problem then
      close_link(link, true)
    else
      local bytes = link.proxy.bytes
      bytes[flow.direction] = bytes[flow.direction] + #portion
      advance(flow)
    end
  end))
end

--- Does what can be done now in this direction. A cut comes when the last byte before it is out.
advance = function(flow)
  local link = flow.link
  if link.closed then
    return
  elseif not (flow.writing or link.proxy.frozen) then
    if flow.left == 0 then
      close_link(link, link.faults.reset)
    elseif flow.queue ~= "" then
      write_portion(flow)
    elseif flow.ended then
      forward_end(flow)
    end
  end
  if not link.closed then
    update_reading(flow)
  end
end

local function start_flow(flow)
  flow.on_read = loop.protect(function(problem, bytes)
    if problem then
      close_link(flow.link, true)
    elseif bytes then
      flow.queue = flow.queue .. bytes
      advance(flow)
    else
      flow.ended = true
      flow.reading = false
      advance(flow)
    end
  end)
  update_reading(flow)
end

local function faults_of(self)
  local faults = self.faults
  if type(faults) == "function" then
    faults = faults(self.accepted)
  end
  return faults or {}
end

local function accept(self, listener)
  local client = uv.new_tcp()
  listener:accept(client)
  self.accepted = self.accepted + 1
  if self.refusing then
    client:close_reset()
    return
  end
  local server = uv.new_tcp "inet"
  local link = { proxy = self, client = client, server = server, faults = faults_of(self) }
  self.links[link] = true
  self.live = self.live + 1
  client:nodelay(true)
  server:nodelay(true)
  if link.faults.window then
    server:recv_buffer_size(link.faults.window)
  end
  link.up = new_flow(link, "up", client, server)
  link.down = new_flow(link, "down", server, client)
  server:connect("127.0.0.1", self.target, loop.protect(function(problem)
    if link.closed then
      return
    elseif problem then
      close_link(link, true)
      return
    end
    link.connected = true
    start_flow(link.up)
    start_flow(link.down)
  end))
end

--- Starts a proxy on a port of its own in front of `target` on 127.0.0.1.
---@param target integer port
---@param faults support.WireFaults|fun(number: integer): support.WireFaults|nil
---@return support.Proxy
function M.start(target, faults)
  local self = setmetatable({ target = target, faults = faults, accepted = 0, live = 0, links = {} }, Proxy)
  self.bytes = { up = 0, down = 0 }
  self.listener = uv.new_tcp()
  assert(self.listener:bind("127.0.0.1", 0))
  assert(self.listener:listen(1024, loop.protect(function(problem)
    assert(not problem, problem)
    accept(self, self.listener)
  end)))
  self.port = self.listener:getsockname().port
  cleanup.add(self, Proxy.close)
  return self
end

--- Lets connections to come go to another port: the server was started again.
---@param port integer
function Proxy:retarget(port)
  self.target = port
end

local function advance_all(self)
  for link in pairs(self.links) do
    if link.connected then
      advance(link.up)
      advance(link.down)
    end
  end
end

--- Half-open: nothing is read or forwarded any more, and neither side hears of it.
function Proxy:freeze()
  self.frozen = true
  advance_all(self)
end

--- The wire works again; nothing that TCP had taken is lost.
function Proxy:thaw()
  self.frozen = false
  advance_all(self)
end

--- Freezes the wire for some time; does not wait.
---@param seconds number
function Proxy:stall(seconds)
  self:freeze()
  self.timer = loop.after(seconds, function()
    self:thaw()
  end)
end

--- Ends all connections now, with RST if `reset`, whatever is still on the way.
---@param reset boolean|nil
function Proxy:cut(reset)
  local links = self.links
  self.links = {}
  for link in pairs(links) do
    close_link(link, reset)
  end
end

--- Refuses connections to come (true), or takes them again (false).
---@param refusing boolean
function Proxy:refuse(refusing)
  self.refusing = refusing
end

function Proxy:close()
  cleanup.remove(self)
  loop.close(self.timer)
  loop.close(self.listener)
  self:cut()
end

return M
