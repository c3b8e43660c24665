-- A disk that takes nothing: publishers hear of it, streams go on, and nothing acknowledged is lost.

local uv = require "luv"
local cleanup = require "spec.support.cleanup"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local server = require "spec.support.server"
local support = require "spec.durable.support"

local range = support.range

--- Makes every write of the router to a file fail, or work again.
local function set_writable(router, writable)
  local limit = "--fsize=" .. (writable and "unlimited" or "0") .. ":"
  assert.equal(0, process.run({ "prlimit", "--pid", tostring(router.pid), limit }).status)
end

local function expect_refused(answer)
  assert.equal(503, answer.status, answer.body)
  assert.equal("1", answer.headers["retry-after"])
  local message = answer:json().error
  assert.is_truthy(message:find("the event is not on disk: ", 1, true), message)
  assert.is_nil(message:find("not an error", 1, true), message)
end

--- A file system of 1 MiB with a file that takes half of it; nil where none can be mounted.
local function small_disk()
  local path = files.directory() .. "/disk"
  uv.fs_mkdir(path, 511)
  if uv.getuid() ~= 0 or process.run({ "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path }).status ~= 0 then
    return nil
  end
  cleanup.add({}, function()
    process.run { "umount", path }
  end)
  files.write(path .. "/ballast", ("b"):rep(500000))
  return path
end

describe("a disk that takes nothing", function()
  after_each(server.stop_all)

  it("is told to publishers, while streams and channels in memory go on", function()
    local router = support.start [[sse.channel("volatile", { durable = false })]]
    support.fill(router, "a", 1, 3)
    local reader = support.open(router, "channels=a,volatile"):wait_open()
    set_writable(router, false)
    for _ = 1, 3 do
      expect_refused(support.post(router, "a", { n = 0 }))
    end
    router:wait_log "cannot write to .*feeds.db: .*publishers are refused until it works again"
    local answer = support.post(router, "volatile", { n = 4 })
    assert.equal(201, answer.status)
    assert.is_false(answer:json().durable)
    assert.same({ 4 }, support.numbers(reader:take(1)))
    assert.same(range(1, 3), (support.numbers_from(router, "a", "earliest")))
    assert.equal(3, support.stats(router).refused_by_store)
    set_writable(router, true)
    assert.equal(201, support.post(router, "a", { n = 5 }).status)
    router:wait_log "writing to .*feeds.db works again"
    assert.same({ 5 }, support.numbers(reader:take(1)))
    reader:expect_silence(0.1)
    router = support.restart(router, "kill")
    assert.same({ 1, 2, 3, 5 }, (support.numbers_from(router, "a", "earliest")))
  end)

  it("is no end of what was acknowledged, when the router is killed meanwhile", function()
    local router = support.start()
    support.fill(router, "a", 1, 20)
    set_writable(router, false)
    for n = 21, 25 do
      expect_refused(support.post(router, "a", { n = n }))
    end
    router = support.restart(router, "kill")
    assert.same(range(1, 20), (support.numbers_from(router, "a", "earliest")))
  end)

  it("lets the router end, and end soon", function()
    local router = support.start()
    support.fill(router, "a", 1, 5)
    set_writable(router, false)
    expect_refused(support.post(router, "new", "x"))
    local before = loop.now()
    router:kill "sigterm"
    assert.equal(0, (router:wait_exit()))
    assert.is_true(loop.now() - before < loop.limit(3))
    router = support.again(router)
    assert.same(range(1, 5), (support.numbers_from(router, "a", "earliest")))
  end)

  it("is tried again for what is no event: channels that are opened meanwhile work later", function()
    local router = support.start()
    support.fill(router, "a", 1, 1)
    set_writable(router, false)
    for n = 1, 5 do
      expect_refused(support.post(router, "new" .. n, "x"))
      support.open(router, "channels=other" .. n):wait_open():close()
    end
    set_writable(router, true)
    for n = 1, 5 do
      support.fill(router, "new" .. n, 1, 3)
      support.fill(router, "other" .. n, 1, 3)
    end
    router = support.restart(router, "kill")
    for n = 1, 5 do
      assert.same(range(1, 3), (support.numbers_from(router, "new" .. n .. ",other" .. n, "last=3")))
    end
  end)

  it("stops a start with a clear word", function()
    local database = files.directory() .. "/feeds.db"
    -- A sanitizer's runtime also writes a file before the program begins: it must not be ended by a signal.
    local command = 'trap "" XFSZ; exec prlimit --fsize=0 "$0" "$@"'
    local result = process.run({ "sh", "-c", command, server.binary, "--listen", "127.0.0.1:0", "-e",
      ('local sse = require "sse" sse.store "sqlite:%s"'):format(database) })
    assert.equal(1, result.status, result.stderr)
    assert.is_truthy(result.stderr:find("cannot [^\n]*" .. database:gsub("%p", "%%%0")), result.stderr)
  end)

  it("is told to relaxed publishers' readers, once memory no longer has the events", function()
    local router = support.start [[sse.channel("quick", { durability = "relaxed", history = 10 })]]
    local ids = support.fill(router, "quick", 1, 5)
    set_writable(router, false)
    local more = support.fill(router, "quick", 6, 10)
    assert.same(range(3, 10), (support.numbers_from(router, "quick", ids[2])))
    support.wait_stat(router, "refused_by_store", 5)
    set_writable(router, true)
    support.fill(router, "quick", 11, 17)
    assert.same(range(9, 17), (support.numbers_from(router, "quick", more[8])))
    local _, reset = support.numbers_from(router, "quick", ids[2])
    assert.equal("evicted", reset.reason)
    router = support.restart(router)
    _, reset = support.numbers_from(router, "quick", more[8])
    assert.equal("evicted", reset.reason)
  end)

  it("answers those who repeat a refused publication as if it were the first", function()
    local router = support.start()
    local key = { ["Idempotency-Key"] = "k" }
    set_writable(router, false)
    expect_refused(support.post(router, "a", { n = 1 }, key))
    expect_refused(support.post(router, "a", { n = 1 }, key))
    set_writable(router, true)
    assert.equal(201, support.post(router, "a", { n = 1 }, key).status)
    assert.equal(200, support.post(router, "a", { n = 1 }, key).status)
    assert.same({ 1 }, (support.numbers_from(router, "a", "earliest")))
  end)

  it("tells a batch which of its lines are on disk", function()
    local router = support.start()
    set_writable(router, false)
    local answer = http.post(router.port, "/publish/a", "1\n2\n", { ["Content-Type"] = "application/x-ndjson" })
    expect_refused(answer)
    assert.equal(2, #answer:json().published)
    assert.is_string(answer:json().published[1].error)
  end)
end)

describe("a disk that is full", function()
  after_each(server.stop_all)

  it("refuses until there is room again, and keeps what it acknowledged", function()
    local disk = small_disk()
    if not disk then
      pending "no file system can be mounted here"
      return
    end
    local router = support.start([[sse.channel("a", { history = 100000 })]], { database = disk .. "/feeds.db" })
    local reader = support.open(router, "channels=a"):wait_open()
    local kept, n = {}, 0
    local function publish()
      n = n + 1
      local answer = support.post(router, "a", { n = n, pad = ("x"):rep(2000) })
      if answer.status == 201 then
        kept[#kept + 1] = n
      else
        expect_refused(answer)
      end
      return answer.status == 201
    end
    while publish() do
      assert.is_true(n < 2000)
    end
    for _ = 1, 5 do
      publish()
    end
    router:wait_log "cannot write to .*full"
    os.remove(disk .. "/ballast")
    loop.eventually(publish, nil, "room on the disk")
    for _ = 1, 10 do
      assert.is_true(publish())
    end
    assert.same(kept, support.numbers(reader:take(#kept)))
    reader:expect_silence(0.1)
    for _, how in ipairs { "kill", "stop" } do
      router = support.restart(router, how)
      assert.same(kept, (support.numbers_from(router, "a", "earliest")))
    end
  end)
end)
