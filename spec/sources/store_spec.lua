-- Sources of durable channels whose disk takes nothing for a while: nothing is lost or doubled when it works again.

local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local server = require "spec.support.server"
local support = require "spec.sources.support"

local first_script = [[
  local sse = require "sse"
  local news = sse.channel("news", { history = 100000 })
  sse.get("/news", news)
  sse.publisher("/news", { channel = news })
]]

describe("a source of a durable channel whose disk fails for a while", function()
  local first, second, folder, published

  after_each(server.stop_all)

  before_each(function()
    folder, published = files.directory(), 0
  end)

  --- Makes every write of the router to a file fail, or work again.
  local function set_writable(writable)
    local limit = "--fsize=" .. (writable and "unlimited" or "0") .. ":"
    assert.equal(0, process.run({ "prlimit", "--pid", tostring(second.pid), limit }).status)
  end

  local function start_second(text)
    second = server.start((([[
      local sse = require "sse"
      sse.store "sqlite:FOLDER/second.db"
      local out = sse.channel("out", { history = 100000 })
      sse.get("/out", out)
      sse.get("/stats", function() return sse.stats() end)
    ]]):gsub("FOLDER", folder)) .. text)
  end

  local function publish(count)
    local lines = {}
    for index = 1, count do
      lines[index] = tostring(published + index)
    end
    published = published + count
    local headers = { ["Content-Type"] = "application/x-ndjson" }
    assert.equal(201, http.post(first.port, "/news", table.concat(lines, "\n"), headers).status)
  end

  --- Waits until the disk has refused something since.
  local function wait_refusal()
    local before = http.get(second.port, "/stats"):json().refused_by_store
    loop.eventually(function()
      return http.get(second.port, "/stats"):json().refused_by_store > before
    end, nil, "a refusal")
  end

  local function reload()
    local seen = #second.process.stderr
    second:kill "sighup"
    second.process:wait_line("stderr", "reloaded the script", nil, seen + 1)
  end

  local function assert_whole(count)
    local reader = eventsource.open(second.port, "/out", { last_event_id = "earliest" })
    for number = 1, count do
      assert.equal(tostring(number), reader:next(20).data)
    end
    reader:expect_silence(0.2)
  end

  local function start_chain(target)
    first = server.start(first_script)
    start_second(([[sse.upstream("http://127.0.0.1:%d/news", { retry = "20ms", last_event_id = "earliest" }, %s)]])
      :format(first.port, target or "out"))
  end

  it("is an upstream: it asks again for what was not stored", function()
    start_chain()
    publish(50)
    for _ = 1, 3 do
      set_writable(false)
      publish(20)
      wait_refusal()
      publish(20)
      set_writable(true)
      publish(20)
    end
    assert_whole(published)
  end)

  it("is an upstream whose script is loaded anew meanwhile", function()
    start_chain()
    publish(50)
    for _ = 1, 3 do
      set_writable(false)
      reload()
      publish(20)
      wait_refusal()
      reload()
      publish(20)
      set_writable(true)
      reload()
    end
    assert_whole(published)
  end)

  it("is an upstream whose router is killed meanwhile", function()
    start_chain()
    publish(50)
    set_writable(false)
    publish(20)
    wait_refusal()
    second:kill()
    second:wait_exit()
    publish(20)
    start_second(([[sse.upstream("http://127.0.0.1:%d/news", { retry = "20ms", last_event_id = "earliest" }, out)]])
      :format(first.port))
    assert_whole(published)
  end)

  it("is a tail, also when the script is loaded anew meanwhile", function()
    files.write(folder .. "/log", "")
    start_second(([[sse.tail("%s/log", { channel = out, from = "start" })]]):format(folder))
    local log = assert(io.open(folder .. "/log", "a"))
    log:setvbuf "no"
    log:write(table.concat(support.numbers(1, 20), "\n"), "\n")
    loop.eventually(function()
      return http.get(second.port, "/stats"):json().published == 20
    end, nil, "the first lines")
    set_writable(false)
    log:write(table.concat(support.numbers(21, 40), "\n"), "\n")
    wait_refusal()
    reload()
    wait_refusal()
    set_writable(true)
    log:write(table.concat(support.numbers(41, 60), "\n"), "\n")
    log:close()
    assert_whole(60)
  end)

  it("is a tail whose script publishes while it is loaded, disk or no disk", function()
    files.write(folder .. "/log", "")
    local text = ([[
      local loads = sse.channel "loads"
      for number = 1, 5 do loads:publish(tostring(number)) end
      sse.tail("%s/log", { channel = out, from = "start" })
    ]]):format(folder)
    start_second(text)
    local log = assert(io.open(folder .. "/log", "a"))
    log:setvbuf "no"
    local written = 0
    for _ = 1, 10 do
      log:write(table.concat(support.numbers(written + 1, written + 60), "\n"), "\n")
      written = written + 60
      loop.eventually(function()
        return http.get(second.port, "/stats"):json().published > written - 50
      end, nil, "some of the lines")
      reload()
    end
    log:close()
    assert_whole(written)
  end)

  for _, parse in ipairs { "line", "sse" } do
    it("is a program's output of kind " .. parse .. ", also when the script is loaded anew meanwhile", function()
      files.write(folder .. "/go", "")
      local format = parse == "sse" and "event: x\\ndata: %s\\n\\n" or "%s\\n"
      start_second(([[
        local command = "while [ -e %s/go ]; do sleep 0.02; done; "
          .. "for i in $(seq 1 30); do printf '%s' $i; done; exec sleep 1000"
        sse.exec({ "sh", "-c", command }, { channel = out, parse = "%s" })
      ]]):format(folder, format, parse))
      set_writable(false)
      os.remove(folder .. "/go")
      wait_refusal()
      reload()
      wait_refusal()
      set_writable(true)
      assert_whole(30)
    end)
  end

  it("is a recording that is replayed, also when the script is loaded anew meanwhile", function()
    local lines = {}
    for number = 1, 30 do
      lines[number] = ('{"time":%.3f,"data":"%d"}'):format(1 + number / 100, number)
    end
    files.write(folder .. "/rec.jsonl", table.concat(lines, "\n") .. "\n")
    start_second(([[sse.replay("%s/rec.jsonl", { channel = out })]]):format(folder))
    loop.eventually(function()
      return http.get(second.port, "/stats"):json().published > 3
    end, nil, "the first events")
    set_writable(false)
    wait_refusal()
    reload()
    wait_refusal()
    set_writable(true)
    assert_whole(30)
  end)
end)
