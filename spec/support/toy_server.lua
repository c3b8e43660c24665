-- A small HTTP server inside the specs' process, for proving the support itself.

local uv = require "luv"
local cleanup = require "spec.support.cleanup"
local loop = require "spec.support.loop"

local M = {}

---@class support.ToyServer
---@field port integer|nil
---@field accepted integer
---@field ended integer connections that the client has closed
---@field problems string[] errors of reading, such as "ECONNRESET"
local ToyServer = {}
ToyServer.__index = ToyServer

---@class support.ToyConnection
---@field number integer
---@field received string all bytes so far
local ToyConnection = {}
ToyConnection.__index = ToyConnection

---@param bytes string
function ToyConnection:write(bytes)
  self.handle:write(bytes, function() end)
end

--- Sends the head of an event stream, chunked.
function ToyConnection:open_stream()
  self:write "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
end

---@param bytes string
function ToyConnection:chunk(bytes)
  self:write(("%x\r\n%s\r\n"):format(#bytes, bytes))
end

--- A whole response with a length.
---@param status string such as "200 OK"
---@param body string
---@param headers string|nil lines with CRLF
function ToyConnection:respond(status, body, headers)
  self:write(("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s"):format(status, headers or "", #body, body))
end

--- Ends with FIN after what was written.
function ToyConnection:finish()
  local handle = self.handle
  handle:shutdown(function()
    loop.close(handle)
  end)
end

--- Ends with RST.
function ToyConnection:reset()
  self.handle:close_reset()
end

function ToyConnection:pause()
  self.handle:read_stop()
end

--- Calls the handler for each whole head; bodies are the handler's affair.
local function on_read(self, connection, problem, bytes)
  if not bytes then
    self.ended = self.ended + 1
    table.insert(self.problems, problem)
    loop.close(connection.handle)
    return
  end
  connection.received = connection.received .. bytes
  connection.buffer = connection.buffer .. bytes
  local stop = connection.buffer:find("\r\n\r\n", 1, true)
  while stop do
    local head = connection.buffer:sub(1, stop + 3)
    connection.buffer = connection.buffer:sub(stop + 4)
    self.handler(connection, head)
    stop = connection.buffer:find("\r\n\r\n", 1, true)
  end
end

local function accept(self)
  local handle = self.path and uv.new_pipe(false) or uv.new_tcp()
  self.listener:accept(handle)
  self.accepted = self.accepted + 1
  local connection = setmetatable({ handle = handle, received = "", buffer = "" }, ToyConnection)
  connection.number = self.accepted
  self.connections[self.accepted] = connection
  handle:read_start(loop.protect(function(problem, bytes)
    on_read(self, connection, problem, bytes)
  end))
end

--- Serves on a free port of 127.0.0.1, or on a unix socket.
---@param handler fun(connection: support.ToyConnection, head: string)
---@param path string|nil
---@return support.ToyServer
function M.start(handler, path)
  local self = setmetatable({ handler = handler, accepted = 0, ended = 0, problems = {}, path = path }, ToyServer)
  self.connections = {}
  if path then
    self.listener = uv.new_pipe(false)
    assert(self.listener:bind(path))
  else
    self.listener = uv.new_tcp()
    assert(self.listener:bind("127.0.0.1", 0))
    self.port = self.listener:getsockname().port
  end
  assert(self.listener:listen(1024, loop.protect(function(problem)
    assert(not problem, problem)
    accept(self)
  end)))
  cleanup.add(self, ToyServer.close)
  return self
end

--- Closes the listener and every connection.
function ToyServer:close()
  cleanup.remove(self)
  loop.close(self.listener)
  for _, connection in ipairs(self.connections) do
    loop.close(connection.handle)
  end
end

return M
