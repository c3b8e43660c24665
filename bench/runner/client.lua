--- One request after the other over blocking sockets, for work that has to be the same each time.

local socket = require "socket"

local M = {}

local timeout = 60 -- seconds; a server under valgrind is slow
local kept -- the connection for POSTs

--- Opens a connection and says nothing.
---@param port integer
---@return table socket
function M.connect(port)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:settimeout(timeout)
  return connection
end

--- Reads a response head; returns the status and the length of the body, if it is given.
local function read_head(connection)
  local status = tonumber(assert(connection:receive("*l")):match("^HTTP/1%.1 (%d+)"))
  local length
  while true do
    local line = assert(connection:receive("*l"))
    if line == "" then return status, length end
    length = length or tonumber(line:lower():match("^content%-length: *(%d+)"))
  end
end

--- Sends a POST on the connection that is kept and reads the answer.
---@param port integer
---@param path string
---@param body string
---@return integer status
function M.post(port, path, body)
  kept = kept or M.connect(port)
  assert(kept:send(("POST %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s"):format(path, #body, body)))
  local status, length = read_head(kept)
  if length and length > 0 then assert(kept:receive(length)) end
  return status
end

--- Gets a page on a connection of its own.
---@param port integer
---@param path string
---@return string body
function M.get(port, path)
  local connection = M.connect(port)
  assert(connection:send(("GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"):format(path)))
  local _, length = read_head(connection)
  local body = assert(connection:receive(length or "*a"))
  connection:close()
  return body
end

--- Opens an event stream and reads its head.
---@param port integer
---@param path string
---@return table socket
function M.subscribe(port, path)
  local connection = M.connect(port)
  assert(connection:send(("GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"):format(path)))
  local status = read_head(connection)
  if status ~= 200 then error(("%s was answered %d"):format(path, status)) end
  return connection
end

--- Reads what has arrived on a stream, without waiting, and counts the comments in it.
---@param connection table
---@return integer
function M.count_comments(connection)
  connection:settimeout(0)
  local text, _, part = connection:receive(65536)
  connection:settimeout(timeout)
  local _, count = (text or part):gsub(":[^\n]*\n\n", "")
  return count
end

--- Returns when the server has done what was asked before: a request goes through all of it.
---@param port integer
function M.settle(port)
  for _ = 1, 3 do M.post(port, "/nothing", "") end
end

--- Lets the server do what it was just given; nothing is measured in time.
function M.pause()
  socket.sleep(0.003)
end

--- Closes the connection that is kept.
function M.forget()
  if kept then kept:close() end
  kept = nil
end

return M
