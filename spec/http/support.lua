-- What the specs of HTTP share: a router with a route of each kind, and ways to talk to it byte for byte.

local uv = require "luv"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local M = {}

M.script = [[
local sse = require "sse"
local news = sse.channel "news"
sse.get("/ok", function() return "ok\n" end)
sse.get("/empty", function() return 204 end)
sse.get("/json", function() return { a = 1 } end)
sse.get("/hello/:name", function(req) return "hello " .. req.params.name end)
sse.get("/request", function(req) return { method = req.method, path = req.path, query = req.query,
  headers = req.headers, body = req.body, ip = req.ip } end)
sse.post("/echo", function(req) return req.body end)
sse.any("/any", function(req) return req.method .. " " .. req.body end)
sse.get("/news", news)
sse.post("/news", function(req) return 200, { subscribers = select(2, news:publish { data = req.body }) } end)
sse.get("/own", function() return sse.stream(function(client)
  client:send { data = "one" }
  sse.sleep(3600)
end) end)
sse.get("/short", function() return sse.stream(function(client) client:send { data = "one" } end) end)
sse.get("/slow", function(req) sse.sleep(req.query.wait) return "slow\n" end)
sse.static("/files", ".")
]]

--- Starts the router with those routes, and with one I/O thread unless `options` say otherwise.
---@param options table|nil as for `server.start`
---@return support.Server
function M.start(options)
  options = options or {}
  options.threads = options.threads or 1
  return server.start(options.script or M.script, options)
end

--- All responses that are there, in order, from a connection that the router has closed.
--- `methods`: of the requests, where HEAD is among them.
---@param connection support.Connection
---@param methods string[]|nil
---@return support.Response[]
function M.responses(connection, methods)
  local responses = {}
  while connection:unread() ~= "" do
    local method = methods and methods[#responses + 1]
    responses[#responses + 1] = connection:receive_response { method = method }
  end
  return responses
end

--- Sends bytes and ends our side, as a client that has nothing more to say. The responses, once the router
--- has closed too; it must do so with FIN.
---@param where integer|string
---@param bytes string
---@param methods string[]|nil
---@return support.Response[]
function M.replies(where, bytes, methods)
  local connection = http.connect(where)
  connection:send(bytes)
  connection:shutdown()
  M.expect_end(connection)
  return M.responses(connection, methods)
end

--- The same, but only the statuses.
function M.statuses(where, bytes, methods)
  return M.statuses_of(M.replies(where, bytes, methods))
end

---@param responses support.Response[]
---@return integer[]
function M.statuses_of(responses)
  local statuses = {}
  for index, response in ipairs(responses) do
    statuses[index] = response.status
  end
  return statuses
end

--- Waits for a clean end: no reset, which could take the last response with it.
---@param connection support.Connection
---@param seconds number|nil
function M.expect_end(connection, seconds)
  local how = connection:wait_closed(seconds)
  if how ~= "end" then
    loop.raise("the connection ended with " .. how)
  end
  connection:close()
end

--- Waits until the router (of one I/O thread) has read all that was sent to it before: it reads in the order
--- of arrival, so it has when a later request on another connection is answered.
---@param other support.Connection
function M.let_read(other)
  other:request("GET", "/ok")
  if other:receive_response().status ~= 200 then
    loop.raise "the other connection got no answer"
  end
end

--- Sends the same bytes on one connection for each place where they can be cut in two, the second part only
--- when the router has read the first. Gives the statuses of each.
---@param port integer
---@param bytes string
---@param check fun(responses: support.Response[], cut: integer)
function M.each_cut(port, bytes, check)
  local other = http.connect(port)
  local connections = {}
  for cut = 1, #bytes - 1 do
    connections[cut] = http.connect(port)
    connections[cut]:send(bytes:sub(1, cut))
  end
  M.let_read(other)
  for cut, connection in ipairs(connections) do
    connection:send(bytes:sub(cut + 1))
    connection:shutdown()
  end
  for cut, connection in ipairs(connections) do
    M.expect_end(connection)
    check(M.responses(connection), cut)
  end
  other:close()
end

--- Sends each of the texts on a connection of its own, byte by byte (or, of a list, piece by piece), each
--- part when the router has read the one before. Gives the connections.
---@param port integer
---@param texts (string|string[])[]
---@return support.Connection[]
function M.drip(port, texts)
  local other = http.connect(port)
  local connections, longest = {}, 0
  for index, text in ipairs(texts) do
    connections[index] = http.connect(port)
    longest = math.max(longest, #text)
  end
  for at = 1, longest do
    for index, text in ipairs(texts) do
      if at <= #text and not connections[index]:closed() then
        connections[index]:send(type(text) == "table" and text[at] or text:sub(at, at))
      end
    end
    M.let_read(other)
  end
  other:close()
  return connections
end

--- Asks again and again until the answer is yes. For questions that need the loop themselves.
---@param what string
---@param condition fun(): boolean
function M.eventually(what, condition)
  local deadline = loop.now() + loop.limit()
  while not condition() do
    if loop.now() > deadline then
      loop.raise("in vain waited for " .. what)
    end
  end
end

--- A folder with files in folders, gone after the clean-up.
---@param content table<string, string>
---@return string path
function M.tree(content)
  local root = files.directory()
  for name, text in pairs(content) do
    local folder = ""
    for part in name:gmatch "([^/]+)/" do
      folder = folder .. "/" .. part
      uv.fs_mkdir(root .. folder, 493)
    end
    files.write(root .. "/" .. name, text)
  end
  return root
end

--- Waits until the router has as many descriptors open as it had.
---@param router support.Server
---@param count integer
function M.expect_descriptors(router, count)
  loop.wait_until(function()
    return router:descriptors() == count
  end, nil, function()
    return ("%d descriptors; there are %d"):format(count, router:descriptors())
  end)
end

return M
