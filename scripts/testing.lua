-- For specs of your own scripts: starts the router with a script on a free port, asks it, and listens to its streams.
-- Runs under plain Lua 5.4 (busted or any other) with luv; `sse-router --types DIR` writes it to DIR/sse/testing.lua.

local uv = require "luv"

--- `timeout`: seconds that anything may take.
local M = { timeout = 5 }

---@class sse.testing.Feed
---@field url string without a slash at the end
---@field port integer
---@field pid integer
---@field status integer? exit status, once it has ended; 128 and the signal's number when that ended it
local Feed = {}
Feed.__index = Feed

---@class sse.testing.Client
---@field status integer
---@field headers table<string, string> by lower-case name
---@field retry integer? milliseconds, the last that the stream has sent
local Client = {}
Client.__index = Client

---@class sse.testing.Response
---@field status integer
---@field headers table<string, string> by lower-case name
---@field body string
local Response = {}
Response.__index = Response

--- Routers that nobody stopped end with the Lua state.
local running = setmetatable({}, {
  __gc = function(feeds)
    for feed in pairs(feeds) do
      uv.kill(feed.pid, "sigterm")
    end
  end,
})
local timer = uv.new_timer()
local here = debug.getinfo(1, "S").source

--- Raises at the line of the spec that called.
local function raise(message)
  local level = 2
  while (debug.getinfo(level, "S") or {}).source == here do
    level = level + 1
  end
  error(message, level)
end

--- Runs the loop until `condition()` gives something, which is returned; nil when it takes longer than `seconds`.
local function wait(condition, seconds)
  local is_late = false
  timer:start(math.ceil((seconds or M.timeout) * 1000), 0, function()
    is_late = true
  end)
  local result = condition()
  while not result and not is_late do
    uv.run "once"
    result = condition()
  end
  timer:stop()
  return result
end

--- Closes a handle and lets it go: luv crashes when Lua's state ends between a close and its callback. Not within a
--- callback.
local function close(handle)
  if not handle:is_closing() then
    handle:close()
  end
  local is_closing = true
  while is_closing do
    uv.run "nowait"
    is_closing = false
    uv.walk(function(other)
      is_closing = is_closing or other:is_closing()
    end)
  end
end

local function json()
  local ok, module = pcall(require, "cjson")
  return ok and module or raise "tables as JSON need lua-cjson"
end

-- Connections: HTTP/1.0, whose responses and streams are plain bytes up to the end.

local function request_text(method, path, headers, body)
  local lines = { method .. " " .. path .. " HTTP/1.0", "Host: localhost" }
  for name, value in pairs(headers) do
    lines[#lines + 1] = name .. ": " .. value
  end
  if body then
    lines[#lines + 1] = "Content-Length: " .. #body
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

local function connect(feed, text)
  local self = { socket = uv.new_tcp(), bytes = "" }
  self.socket:connect("127.0.0.1", feed.port, function(problem)
    if problem then
      self.ended = problem
      return
    end
    self.socket:write(text)
    self.socket:read_start(function(failure, bytes)
      self.bytes = self.bytes .. (bytes or "")
      self.ended = not bytes and (failure or "end")
    end)
  end)
  return self
end

--- Takes the head off the connection's bytes: status and headers.
local function take_head(connection, what)
  local head = wait(function()
    return connection.bytes:match "^(.-\r\n)\r\n" or connection.ended and ""
  end)
  if not head or head == "" then
    raise(("%s: no answer (%s)"):format(what, connection.ended or "it takes too long"))
  end
  connection.bytes = connection.bytes:sub(#head + 3)
  local headers = {}
  for name, value in head:gmatch "\r\n([^:\r\n]+):%s*([^\r\n]*)" do
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return tonumber(head:match "^HTTP/%S+ (%d+)"), headers
end

--- The body as JSON (with lua-cjson).
---@return any
function Response:json()
  return json().decode(self.body)
end

--- Asks the script. A body that is a table goes out as JSON (with lua-cjson).
---@param method string
---@param path string
---@param body string|table|nil
---@param headers table<string, string>?
---@return sse.testing.Response
function Feed:request(method, path, body, headers)
  local all = {}
  if type(body) == "table" then
    body, all["Content-Type"] = json().encode(body), "application/json"
  end
  for name, value in pairs(headers or {}) do
    all[name] = value
  end
  local connection = connect(self, request_text(method, path, all, body))
  local what = method .. " " .. path
  local status, answered = take_head(connection, what)
  local is_whole = wait(function()
    return connection.ended
  end)
  close(connection.socket)
  if not is_whole then
    raise(what .. " answers with a stream: use subscribe")
  end
  return setmetatable({ status = status, headers = answered, body = connection.bytes }, Response)
end

---@return sse.testing.Response
function Feed:get(path, headers)
  return self:request("GET", path, nil, headers)
end

---@return sse.testing.Response
function Feed:post(path, body, headers)
  return self:request("POST", path, body or "", headers)
end

--- Opens a stream and waits until it is open: what is published from now on, it hears. Its `status` tells a refusal.
---@param path string
---@param options { headers: table<string, string>?, last_event_id: string? }?
---@return sse.testing.Client
function Feed:subscribe(path, options)
  local headers = { Accept = "text/event-stream", ["Last-Event-ID"] = options and options.last_event_id }
  for name, value in pairs(options and options.headers or {}) do
    headers[name] = value
  end
  local client = setmetatable({ path = path, id = "" }, Client)
  client.connection = connect(self, request_text("GET", path, headers))
  client.status, client.headers = take_head(client.connection, "GET " .. path)
  self.clients[#self.clients + 1] = client
  return client
end

--- What the router has logged.
---@return string
function Feed:log()
  return self.stderr
end

--- The next event of what has come, or nil.
local function take_event(self)
  while true do
    local block, rest = self.connection.bytes:match "^(.-)\n\n(.*)$"
    if not block then
      return nil
    end
    self.connection.bytes = rest
    local event, data = "message", {}
    for line in block:gmatch "[^\n]+" do
      local name, value = line:match "^([^:]+): ?(.*)$"
      if name == "event" then
        event = value
      elseif name == "data" then
        data[#data + 1] = value
      elseif name == "id" then
        self.id = value
      elseif name == "retry" then
        self.retry = tonumber(value)
      end
    end
    if data[1] then
      return { event = event, data = table.concat(data, "\n"), id = self.id }
    end
  end
end

--- The next event: { event =, data =, id = }. Raises when none comes in time.
---@param seconds number?
---@return { event: string, data: string, id: string }
function Client:next(seconds)
  local event = wait(function()
    return take_event(self) or self.connection.ended and "ended"
  end, seconds)
  if event == "ended" then
    raise(("%s (status %d) has ended: no further event"):format(self.path, self.status))
  end
  return event or raise("no event came from " .. self.path)
end

--- Whether no event comes within `seconds`; one that does is lost.
---@param seconds number
---@return boolean
function Client:is_silent(seconds)
  return not wait(function()
    return take_event(self)
  end, seconds)
end

--- Leaves.
function Client:close()
  close(self.connection.socket)
end

local function read(self, name, pipe)
  self[name] = ""
  pipe:read_start(function(_, bytes)
    if bytes then
      self[name] = self[name] .. bytes
    else
      pipe:close()
    end
  end)
end

local function environment(more)
  local variables, list = uv.os_environ(), {}
  for name, value in pairs(more or {}) do
    variables[name] = value
  end
  for name, value in pairs(variables) do
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

--- Starts the router with a script on a free port and waits until it listens. Options: `env` (added to ours), `args`
--- (options of the router), `router` (the program; default: $SSE_ROUTER, else sse-router in the path).
---@param script string
---@param options { env: table<string, string>?, args: string[]?, router: string? }?
---@return sse.testing.Feed
function M.start(script, options)
  options = options or {}
  local program = options.router or os.getenv "SSE_ROUTER" or "sse-router"
  local args = table.move(options.args or {}, 1, #(options.args or {}), 3, { "--listen", "127.0.0.1:0" })
  args[#args + 1] = script
  local self = setmetatable({ clients = {} }, Feed)
  local stdout, stderr = uv.new_pipe(false), uv.new_pipe(false)
  local process, pid = uv.spawn(program, {
    args = args,
    env = environment(options.env),
    stdio = { nil, stdout, stderr },
  }, function(status, signal)
    self.status = signal == 0 and status or 128 + signal
  end)
  if not process then
    close(stdout)
    close(stderr)
    raise(("cannot start %s: %s; $SSE_ROUTER names it when it is not in the path"):format(program, pid))
  end
  self.process, self.pid = process, pid
  running[self] = true
  read(self, "stdout", stdout)
  read(self, "stderr", stderr)
  wait(function()
    self.port = tonumber(self.stdout:match "listening on http://127%.0%.0%.1:(%d+)/\n")
    return self.port or self.status and stderr:is_closing()
  end)
  if not self.port then
    pcall(self.stop, self)
    raise(("%s does not start:\n%s"):format(script, self.stderr))
  end
  self.url = "http://127.0.0.1:" .. self.port
  return self
end

--- Ends the router, and raises when it did not end well.
function Feed:stop()
  running[self] = nil
  for _, client in ipairs(self.clients) do
    client:close()
  end
  self.process:kill "sigterm"
  wait(function()
    return self.status
  end)
  if not self.status then
    self.process:kill "sigkill"
  end
  close(self.process)
  if self.status ~= 0 then
    raise(("the router ended with status %s:\n%s"):format(self.status or "none", self.stderr))
  end
end

--- Ends what still runs: for `after_each`.
function M.stop_all()
  while next(running) do
    next(running):stop()
  end
end

return M
