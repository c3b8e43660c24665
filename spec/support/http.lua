-- A raw HTTP/1.1 client: it sends exactly the bytes it is given and reads responses strictly.

local json = require "cjson"
local address = require "spec.support.address"
local cleanup = require "spec.support.cleanup"
local http_decoder = require "spec.support.http_decoder"
local loop = require "spec.support.loop"

local M = {}

---@class support.Response: support.HttpHead
---@field body string decoded
local Response = {}
Response.__index = Response

--- The body as JSON.
function Response:json()
  local ok, value = pcall(json.decode, self.body)
  if not ok then
    loop.raise(("the body is not JSON: %s: %q"):format(value, self.body))
  end
  return value
end

---@class support.Connection
---@field ended string|nil "end" (FIN) or an error's name such as "ECONNRESET", once the peer has closed
---@field received integer bytes read so far
local Connection = {}
Connection.__index = Connection

local function on_read(self, problem, bytes)
  if bytes then
    self.received = self.received + #bytes
    table.insert(self.arrived, bytes)
  else
    self.ended = problem or "end"
  end
end

local function decoder_of(self)
  local handler = {}
  function handler.on_head(_, head)
    self.response = setmetatable(head, Response)
    self.parts = {}
  end
  function handler.on_body(_, bytes)
    table.insert(self.parts, bytes)
  end
  function handler.on_end()
    self.response.body = table.concat(self.parts)
    self.finished = self.response
    self.decoder:pause()
  end
  return http_decoder.new(handler, function()
    return self.method
  end)
end

--- Connects. Options: `receive_buffer` (bytes, bounds the TCP window), `paused` (read nothing until `resume`).
---@param where integer|string a port, or what `address.parse` takes ("unix:/path", "[::1]:port", a URL)
---@param options table|nil
---@return support.Connection|nil
---@return string|nil problem such as "ECONNREFUSED"
function M.try_connect(where, options)
  options = options or {}
  local self = setmetatable({ arrived = {}, received = 0, address = address.parse(where) }, Connection)
  self.decoder = decoder_of(self)
  local outcome
  self.handle = address.connect(self.address, options, function(problem)
    outcome = problem or "connected"
  end)
  cleanup.add(self, Connection.close)
  loop.wait_until(function()
    return outcome
  end, options.seconds, "a connection to " .. self.address.authority)
  if outcome ~= "connected" then
    self:close()
    return nil, outcome
  end
  if not options.paused then
    self:resume()
  end
  return self
end

--- The same; raises if the connection is refused.
---@param where integer|string
---@param options table|nil
---@return support.Connection
function M.connect(where, options)
  local connection, problem = M.try_connect(where, options)
  if not connection then
    loop.raise(("cannot connect to %s: %s"):format(where, problem))
  end
  return connection
end

--- Sends bytes; does not wait. `flush` waits until the kernel has them all.
---@param bytes string
function Connection:send(bytes)
  self.handle:write(bytes, loop.protect(function(problem)
    self.write_problem = self.write_problem or problem
  end))
end

--- Waits until the kernel has taken everything sent. Gives nil and an error's name if the peer is gone.
---@param seconds number|nil
---@return boolean|nil
---@return string|nil problem
function Connection:flush(seconds)
  loop.wait_until(function()
    return self.write_problem or self.handle:get_write_queue_size() == 0
  end, seconds, "the peer to take what was sent")
  return not self.write_problem or nil, self.write_problem
end

local function header_lines(headers)
  local lines, given = {}, {}
  local function add(name, value)
    given[name:lower()] = true
    if value then
      lines[#lines + 1] = ("%s: %s\r\n"):format(name, value)
    end
  end
  for name, value in pairs(headers) do
    if type(name) == "number" then
      add(value[1], value[2])
    else
      add(name, value)
    end
  end
  return lines, given
end

--- The bytes of a request. `headers` is a map, or a list of { name, value } for repeated ones; false removes
--- one of those added here: Host, Content-Length, Content-Type (for a table as body, which becomes JSON).
---@param method string
---@param path string
---@param headers table|nil
---@param body string|table|nil
---@param authority string|nil
---@return string
function M.format_request(method, path, headers, body, authority)
  local lines, given = header_lines(headers or {})
  if type(body) == "table" then
    body = json.encode(body)
    if not given["content-type"] then
      table.insert(lines, "Content-Type: application/json\r\n")
    end
  end
  if body and not (given["content-length"] or given["transfer-encoding"]) then
    table.insert(lines, ("Content-Length: %d\r\n"):format(#body))
  end
  if not given.host then
    table.insert(lines, 1, ("Host: %s\r\n"):format(authority or "localhost"))
  end
  return ("%s %s HTTP/1.1\r\n%s\r\n%s"):format(method, path, table.concat(lines), body or "")
end

--- Sends a whole request; does not wait for the answer.
---@param method string
---@param path string
---@param headers table|nil
---@param body string|table|nil
function Connection:request(method, path, headers, body)
  self:send(M.format_request(method, path, headers, body, self.address.authority))
end

--- Feeds the decoder with what has arrived, up to the end of one response.
local function decode(self)
  local bytes = table.concat(self.arrived)
  self.arrived = {}
  self.decoder:resume()
  self.decoder:feed(bytes)
  if not self.finished and self.ended == "end" and self.decoder.state == "until close" then
    self.decoder:finish()
  end
  local response = self.finished
  self.finished = nil
  return response
end

--- Waits for the next response, also an interim one (100). Several may be waiting.
--- Options: `method` ("HEAD": there is no body), `seconds`.
---@param options table|nil
---@return support.Response
function Connection:receive_response(options)
  options = options or {}
  self.method = options.method
  local response
  loop.wait_until(function()
    response = decode(self)
    return response or self.ended and #self.arrived == 0
  end, options.seconds, "a response")
  if not response then
    loop.raise(("the connection ended (%s) before a whole response; unused: %q"):format(self.ended, self:unread()))
  end
  return response
end

--- The bytes that have arrived and that no response has used.
---@return string
function Connection:unread()
  return self.decoder:rest() .. table.concat(self.arrived)
end

--- Waits until `count` bytes have been read in all.
---@param count integer
---@param seconds number|nil
function Connection:wait_bytes(count, seconds)
  loop.wait_until(function()
    return self.received >= count
  end, seconds, count .. " bytes")
end

--- Whether the peer has closed, as far as was read.
---@return boolean
function Connection:closed()
  return self.ended ~= nil
end

--- Waits until the peer closes. libuv may take an RST that comes right behind bytes for "end".
---@param seconds number|nil
---@return string how "end" or an error's name such as "ECONNRESET"
function Connection:wait_closed(seconds)
  loop.wait_until(function()
    return self.ended
  end, seconds, "the peer to close")
  return self.ended
end

--- Stops reading, as a client that reads nothing.
function Connection:pause()
  self.handle:read_stop()
end

function Connection:resume()
  self.handle:read_start(loop.protect(function(problem, bytes)
    on_read(self, problem, bytes)
  end))
end

--- Half a close: sends FIN after what was written, still reads.
function Connection:shutdown()
  self.handle:shutdown()
end

--- Closes with RST (TCP only).
function Connection:reset()
  cleanup.remove(self)
  if not self.handle:is_closing() then
    self.handle:close_reset()
  end
end

function Connection:close()
  cleanup.remove(self)
  loop.close(self.handle)
end

--- One request over a connection of its own.
--- Options: as for `connect` and `receive_response`.
---@param where integer|string
---@param method string
---@param path string
---@param headers table|nil
---@param body string|table|nil
---@param options table|nil
---@return support.Response
function M.request(where, method, path, headers, body, options)
  local connection = M.connect(where, options)
  connection:request(method, path, headers, body)
  local response = connection:receive_response { method = method, seconds = options and options.seconds }
  connection:close()
  return response
end

---@param where integer|string
---@param path string
---@param headers table|nil
---@param options table|nil
---@return support.Response
function M.get(where, path, headers, options)
  return M.request(where, "GET", path, headers, nil, options)
end

--- A table as body is sent as JSON.
---@param where integer|string
---@param path string
---@param body string|table|nil
---@param headers table|nil
---@param options table|nil
---@return support.Response
function M.post(where, path, body, headers, options)
  return M.request(where, "POST", path, headers, body or "", options)
end

return M
