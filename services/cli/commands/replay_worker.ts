import { replayService } from '../../replay/main.js'
import { serviceCommand } from '../service_command.js'

export const replayWorker = serviceCommand(replayService)
